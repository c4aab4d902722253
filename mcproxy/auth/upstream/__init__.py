"""Logging in to an upstream: the client's side of what the rest of mcproxy.auth is the server's side of."""
