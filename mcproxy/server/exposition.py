"""The pages of the admin port that cost milliseconds, made so that who asks for them all the time slows no clients."""

import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from typing import Final, Generic, TypeVar

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
_NO_WEIGHT: Final = re.compile(r"q=0(\.0{0,3})?")
# Samples that are written at once: about half a millisecond's work.
_SLICE: Final = 64


Page = TypeVar("Page")


class _Making(Generic[Page]):
    """One for all who ask for one of its keys before it has ended."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.wanted = trio.Event()
        self.ended = trio.Event()
        self.made: Mapping[str, Page] = {}
        self.failure: Exception | None = None


class Shared(Generic[Page]):
    """Pages by a key, made by `run` once for all who ask meanwhile: `make` makes those of all the keys it is given.

    Nobody gets a page that was finished before he asked: who asks too soon after the last one waits for the next, for
    LONGEST_REST at most before it is begun. The keys must be few. `clock` is the processor's time by which rests are
    measured, in seconds: what `make` waits for costs nobody anything.
    """

    def __init__(
        self,
        make: Callable[[Collection[str]], Awaitable[Mapping[str, Page]]],
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._make = make
        self._clock = clock
        self._now: _Making[Page] | None = None
        self._next: _Making[Page] = _Making()

    async def run(self) -> None:
        """Make what is asked for, until cancelled. Those who ask may go away: it is done for the others."""
        while True:
            await self._next.wanted.wait()
            making, self._next = self._next, _Making()
            self._now = making
            start = self._clock()
            try:
                making.made = await self._make(frozenset(making.keys))
            except Exception as failure:  # for those who asked
                making.failure = failure
            self._now = None
            making.ended.set()
            await trio.sleep(rest_after(self._clock() - start))

    async def page(self, key: str = "") -> Page:
        """Raises whatever making it did."""
        making = self._next if self._now is None or key not in self._now.keys else self._now
        making.keys.add(key)
        making.wanted.set()
        await making.ended.wait()
        if making.failure is not None:
            raise making.failure
        return making.made[key]


def shared_alone(make: Callable[[], Awaitable[Page]]) -> Shared[Page]:
    """One page, without a key."""

    async def make_it(_: Collection[str]) -> dict[str, Page]:
        return {"": await make()}

    return Shared(make_it)


def negotiated(accept: str) -> str:
    """The content type for an Accept header: OPENMETRICS if that is asked for in our version or in any, or TEXT."""
    for accepted in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in accepted.split(";"))
        versions = [parameter for parameter in parameters if parameter.startswith("version=")]
        # RFC 9110 section 12.4.2: a weight of 0 is for what isn't wanted.
        unwanted = any(_NO_WEIGHT.fullmatch(parameter) for parameter in parameters)
        if media_type == "application/openmetrics-text" and versions in ([], ["version=1.0.0"]) and not unwanted:
            return OPENMETRICS
    return TEXT


async def exposition(registry: CollectorRegistry, content_types: Collection[str]) -> dict[str, bytes]:
    """All metrics of a registry, the same figures by each content type, with a turn for clients after each metric, and
    within those of many principals."""
    parts: dict[str, list[bytes]] = {content_type: [] for content_type in content_types}
    for metric in registry.collect():
        for content_type, encoded in parts.items():
            for part in _encoded(metric, content_type):
                encoded.append(part)
                await trio.lowlevel.checkpoint()
    if OPENMETRICS in parts:
        parts[OPENMETRICS].append(_END)
    return {content_type: b"".join(encoded) for content_type, encoded in parts.items()}


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
