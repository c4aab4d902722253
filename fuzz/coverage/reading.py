"""What fuzzed replies must hold to, whatever is in them.

Requests of every kind are made by the real parsers from frames that the input chooses, and wait on a link; the rest of
the input is what upstream sends. `take` raises nothing but OutOfStep, never goes back or beyond the buffer, never
delivers more than it consumed, and keeps nothing of it. Whatever is delivered for a retrieval is read again here: it
names only keys that were asked, in their order. Cutting the replies anywhere changes nothing, unless the link is lost.
"""

import binascii
import random
import sys
from collections.abc import Iterable
from itertools import islice

from fuzz.coverage.conversation import pieces
from fuzz.coverage.frames import FRAMES, LONG
from mcproxy.wire.requests import Request
from tests.unit.wire.driving import FIRST_OPAQUE, Collector, Link, cut

MOST_FRAMES = 8
"""Frames that wait at once: some retrievals wait in several pieces each."""

STATE_LIMIT = 256
"""Bytes by which a request may grow while it is answered: numbers, but nothing that was received."""

SMALL = 64
"""Bytes of a value that is passed on as it arrives, where the program has 16 KiB: it must fit an input."""

for name, module in list(sys.modules.items()):
    if name.startswith("mcproxy.wire.") and hasattr(module, "STREAM_FROM"):
        module.STREAM_FROM = SMALL  # type: ignore[attr-defined]

RETRIEVALS = (b"get ", b"gets ", b"gat ", b"gats ")
META = (b"mg ", b"ms ", b"md ", b"ma ", b"me ")


class Watched:
    """A request as its link sees it, with what must hold after each `take`."""

    def __init__(self, request: Request, longer: int) -> None:
        self.request = request
        # By how much an answer may be longer than upstream's: by a key that went up under a shorter name.
        self._longer = longer
        self.local = request.local
        self.sink = request.sink
        self._size = self._kept()

    @property
    def done(self) -> bool:
        return self.request.done

    def take(self, buffer: bytes, position: int) -> int:
        assert isinstance(self.sink, Collector)
        before = len(self.sink.received)
        end = self.request.take(buffer, position)
        delivered = len(self.sink.received) - before
        assert delivered <= end - position + self._longer, f"{delivered} bytes delivered of {end - position}"
        assert self._kept() <= self._size + STATE_LIMIT, "the request has grown"
        return end

    def fail(self, reason: bytes) -> None:
        self.request.fail(reason)

    def finish(self) -> None:
        self.request.finish()

    def _kept(self) -> int:
        names = {name for kind in type(self.request).__mro__ for name in getattr(kind, "__slots__", ())}
        return sum(sys.getsizeof(getattr(self.request, name, None)) for name in names - {"sink"})


class Client(Collector):
    """One client, who sent `frame` and waits for the replies to `requests`."""

    def __init__(self, name: str) -> None:
        super().__init__()
        make_parser, self.frame, _is_text = FRAMES[name]
        self.requests: list[Watched] = []
        parser = make_parser(self)
        longer = len(LONG) if LONG in self.frame else 0
        position = 0
        while position < len(self.frame) or parser.cutting:
            request = parser.next(self.frame, position, 1000)
            assert isinstance(request, Request), f"{name} is no request: {request}"
            self.requests.append(Watched(request, longer))
            position = parser.end

    def finished(self, request: Request) -> None:
        """Nothing else happens here when a request was answered."""


class Reading:
    """Everything that came of one way to cut the replies to the frames called `names`."""

    def __init__(self, names: list[str], replies: bytes, positions: Iterable[int]) -> None:
        self.clients = [Client(name) for name in names]
        self.link = Link()
        for client in self.clients:
            self.link.waiting.extend(client.requests)  # type: ignore[arg-type]
        if not FRAMES[names[0]].text:
            for number, request in enumerate(self.link.waiting):
                request.request.packet(FIRST_OPAQUE + number)
        for piece in cut(replies, positions):
            self.link.receive(piece)

    def received(self) -> list[bytes]:
        """What each client got."""
        return [client.received for client in self.clients]


def read(data: bytes) -> None:
    """Read the replies that `data` holds. Raises AssertionError if something is wrong with what comes of them."""
    if len(data) < 4:
        return
    kind, count, *seed = data[:4]
    names = [name for name, frame in FRAMES.items() if frame.text is (kind < 160)]
    chosen = random.Random(bytes(seed))
    # Below the number of names an index keeps its meaning when more are added, and with it the kept corpus.
    asked = [names[number % len(names)] for number in data[4 : 5 + count % MOST_FRAMES]]
    replies = data[4 + len(asked) :]
    if not replies:
        return
    whole = Reading(asked, replies, ())
    positions = list(islice(pieces(chosen, len(replies)), 4096))
    again = Reading(asked, replies, positions)
    assert bool(whole.link.lost) == bool(again.link.lost), f"cut at {positions}: {again.link.lost!r}"
    if not whole.link.lost:
        for one, other in zip(whole.received(), again.received(), strict=True):
            # How much of an answer that isn't whole is passed on depends on the cutting.
            same = one == other or (whole.link.waiting and (one.startswith(other) or other.startswith(one)))
            assert same, f"{other!r} when cut at {positions}, not {one!r}"
    for client in [*whole.clients, *again.clients]:
        if client.frame.startswith(RETRIEVALS):
            check_retrieval(client.frame, client.received)
        elif client.frame.startswith(META):
            check_meta(client.frame, client.received)


def check_retrieval(frame: bytes, received: bytes) -> None:
    """Raise unless `received` answers the lines of `frame`, as far as it goes, with none but the keys in them."""
    position = 0
    for line in frame.split(b"\r\n")[:-1]:
        verb, *keys = line.split(b" ")
        if verb.startswith(b"gat"):
            del keys[0]
        owed = 0
        while True:
            if position == len(received):
                return
            end = received.index(b"\r\n", position)
            first, *words = received[position:end].split(b" ")
            position = end + 2
            if (first, words) == (b"END", []) or first == b"SERVER_ERROR":
                break
            assert first == b"VALUE", f"{first!r} to {frame!r}"
            key, _flags, length, *unique = words
            assert key in keys[owed:], f"{key!r} was not asked by {frame!r}"
            owed = keys.index(key, owed) + 1
            assert len(unique) == verb.endswith(b"s"), f"{words} to {frame!r}"
            position += int(length) + 2
            if position > len(received):
                # A large value is passed on as it comes.
                return
            assert received[position - 2 : position] == b"\r\n", f"the value of {key!r} is longer than {length!r}"
    assert position == len(received), f"{received[position:]!r} behind the answer to {frame!r}"


def check_meta(frame: bytes, received: bytes) -> None:
    """Raise if the first line of `received` names another key than the first line of `frame`, plain or in base64."""
    key, *flags = frame.split(b"\r\n")[0].split(b" ")[1:]
    asked = binascii.a2b_base64(key) if b"b" in flags else key
    if received.startswith((b"SERVER_ERROR ", b"CLIENT_ERROR ")):
        # Words, not flags.
        return
    for word in received.split(b"\r\n")[0].split(b" ")[1:]:
        if word.startswith(b"k"):
            names = [word[1:]]
            if len(names[0]) % 4 == 0:
                names.append(binascii.a2b_base64(names[0]))
            assert asked in names, f"{word!r} to {frame!r}"
