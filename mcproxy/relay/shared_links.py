"""The links that all sessions share, and which of them the next request goes up on."""

from typing import Final

from mcproxy.relay.link import Link

# A link with more requests in flight is passed over for another, where there is one.
LONG_QUEUE: Final = 128


class SharedLinks:
    """The links of one pool that are in service."""

    def __init__(self) -> None:
        self.links: list[Link] = []

    def choose(self) -> Link | None:
        """One of them, or None. The first one, so that much goes up in one send, unless it has a long queue."""
        links = self.links
        if not links:
            return None
        first = links[0]
        if len(first.waiting) < LONG_QUEUE or len(links) == 1:
            return first
        return min(links, key=lambda link: len(link.waiting))
