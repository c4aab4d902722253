"""The relay: sessions (downstream) and links (upstream), moved by one trio task over an epoll of their own.

Everything in here but the poller's loop and the pool's connecting is synchronous: no awaits between a client's bytes
and upstream's. Many sessions share a few links. What they ask within one turn goes up in one send for each link, and
what comes back in one receive is cut up and goes down in one send for each session.
"""
