"""The translator against memcached itself: the same text to memcached's text port, and to a gateway before another.

Each batch of commands goes to both, and the replies must be equal byte for byte but for cas uniques, which each
memcached counts by itself: a number that a reply told is given back to the side that told it. What the binary protocol
can't express goes to the gateway alone, which must refuse it. docs/protocol.md names what may differ, and `named.py` is
that list as code.
"""
