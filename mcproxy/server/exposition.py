"""The pages of the admin port that cost milliseconds, made so that who asks for them all the time slows no clients."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import trio
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.samples import Sample

from mcproxy.server.pace import rest_after

TEXT: Final = CONTENT_TYPE_PLAIN_0_0_4
OPENMETRICS: Final = openmetrics.CONTENT_TYPE_LATEST
_END: Final = b"# EOF\n"
# Samples that are written at once: about half a millisecond's work.
_SLICE: Final = 64


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
                self._rest_until = end + rest_after(end - start)
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
    """All metrics of a registry, with a turn for clients after each, and within those of many principals."""
    parts = []
    for metric in registry.collect():
        for part in _encoded(metric, content_type):
            parts.append(part)
            await trio.lowlevel.checkpoint()
    return b"".join(parts) + (_END if content_type == OPENMETRICS else b"")


def _encoded(metric: Metric, content_type: str) -> Iterator[bytes]:
    """In pieces. A histogram is one: its samples belong together."""
    encode = _openmetrics if content_type == OPENMETRICS else _text
    if metric.type not in ("counter", "gauge") or len(metric.samples) <= _SLICE:
        yield encode(_part(metric, metric.samples))
        return
    head = encode(_part(metric, []))
    yield head
    for start in range(0, len(metric.samples), _SLICE):
        yield encode(_part(metric, metric.samples[start : start + _SLICE])).removeprefix(head)


def _text(one: CollectorRegistry) -> bytes:
    return generate_latest(one)


def _openmetrics(one: CollectorRegistry) -> bytes:
    encoded: bytes = openmetrics.generate_latest(one)  # type: ignore[no-untyped-call]
    return encoded.removesuffix(_END)


def _part(metric: Metric, samples: list[Sample]) -> CollectorRegistry:
    part = Metric(metric.name, metric.documentation, metric.type, metric.unit)
    part.samples = samples
    return _One(part)


class _One(CollectorRegistry):
    """What an encoder takes for a registry."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self._metric = metric

    def collect(self) -> list[Metric]:
        return [self._metric]
