"""mcproxy: an authenticating TLS/SASL proxy in front of memcached."""

__version__ = "0.1.0"
