"""The pages of the admin port that cost milliseconds, made so that who asks for them all the time slows no clients."""

from collections.abc import Awaitable, Callable
from typing import Final

import trio
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

TEXT: Final = CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS: Final = openmetrics.CONTENT_TYPE_LATEST
LONGEST_REST: Final = 1.0
"""Seconds."""
_REST: Final = 9.0
"""After a page rest so many times as long as it took: all who ask together take a tenth of the time."""
_END: Final = b"# EOF\n"


class Shared:
    """Pages by a key, each made once for all who ask meanwhile.

    Nobody gets a page that was finished before he asked: who asks too soon after the last one waits for the next, for
    LONGEST_REST at most before it is begun. The keys must be few.
    """

    def __init__(self, make: Callable[[str], Awaitable[bytes]]) -> None:
        self._make = make
        self._lock = trio.Lock()
        self._begun = 0
        self._is_making = False
        self._rest_until = 0.0
        # With the number of the making that it is from.
        self._made: dict[str, tuple[int, bytes]] = {}

    async def page(self, key: str = "") -> bytes:
        """Raises whatever making it does."""
        oldest = self._begun if self._is_making else self._begun + 1
        # Whoever makes it may be cancelled: the next in the queue does it then.
        async with self._lock:
            number, body = self._made.get(key, (0, b""))
            if number >= oldest:
                return body
            await trio.sleep_until(self._rest_until)
            self._begun += 1
            self._is_making, start = True, trio.current_time()
            try:
                body = await self._make(key)
            finally:
                self._is_making, end = False, trio.current_time()
                self._rest_until = end + min(LONGEST_REST, _REST * (end - start))
            self._made[key] = self._begun, body
            return body


def negotiated(accept: str) -> str:
    """The content type for an Accept header: OPENMETRICS if that is asked for in our version or in any, or TEXT."""
    for accepted in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in accepted.split(";"))
        versions = [parameter for parameter in parameters if parameter.startswith("version=")]
        if media_type == "application/openmetrics-text" and versions in ([], ["version=1.0.0"]):
            return OPENMETRICS
    return TEXT


async def exposition(registry: CollectorRegistry, content_type: str) -> bytes:
    """All metrics of a registry, with a turn for clients after each: those of many principals take milliseconds."""
    parts = []
    for metric in registry.collect():
        parts.append(_encoded(metric, content_type))
        await trio.lowlevel.checkpoint()
    return b"".join(parts) + (_END if content_type == OPENMETRICS else b"")


def _encoded(metric: Metric, content_type: str) -> bytes:
    one = _One(metric)
    if content_type == OPENMETRICS:
        encoded: bytes = openmetrics.generate_latest(one)  # type: ignore[no-untyped-call]
        return encoded.removesuffix(_END)
    return generate_latest(one)


class _One(CollectorRegistry):
    """What an encoder takes for a registry."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric = metric

    def collect(self) -> list[Metric]:
        return [self._metric]
