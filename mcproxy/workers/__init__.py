"""Several workers: a parent that serves no client, and processes that do, which ask it for whatever is limited."""
