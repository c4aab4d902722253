"""The side-by-side measurement of mcproxy and other proxies; docs/performance.md says how and why."""
