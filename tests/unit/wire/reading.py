"""Replies read by requests alone, as a link reads them, cut in every way."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mcproxy.wire.requests import Request
from tests.unit.wire.driving import Collector, Link, cut


@dataclass
class Reading:
    """What a client gets of upstream's replies. `lost`: why the link was dropped, "" if it wasn't."""

    received: bytes
    lost: str
    waiting: int
    was_cut_short: bool
    hits: int


def read(make: Callable[[Collector], list[Request]], data: bytes, positions: Iterable[int] = ()) -> Reading:
    """Let the requests that `make` makes be answered with `data`, cut at `positions`."""
    sink = Collector()
    requests = make(sink)
    link = Link()
    link.waiting.extend(requests)
    for piece in cut(data, positions):
        link.receive(piece)
    hits = sum(request.hits for request in requests)
    return Reading(sink.received, link.lost, len(link.waiting), sink.was_cut_short, hits)


def read_every_way(make: Callable[[Collector], list[Request]], data: bytes) -> Reading:
    """The same, cut at every byte, and byte by byte: nothing changes, unless the link is dropped."""
    whole = read(make, data)
    for positions in [*([position] for position in range(1, len(data))), list(range(1, len(data)))]:
        reading = read(make, data, positions)
        if whole.lost:
            # How much was delivered before the fault was seen depends on the cutting; that it is seen does not.
            assert reading.lost == whole.lost, f"cut at {positions[:3]}"
        else:
            assert reading == whole, f"cut at {positions[:3]}"
    return whole
