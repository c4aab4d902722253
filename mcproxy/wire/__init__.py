"""The memcached wire, sans-I/O: bytes in, requests and replies out. Imports nothing of the other layers."""
