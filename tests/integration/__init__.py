"""The real program against the real memcached, over real sockets."""
