"""One stream against the program, and everything that must be true of it afterwards."""

import time
from dataclasses import dataclass

from fuzz.differential.comparison import HANG, OUT_OF_STEP, UNVETTED, Fault, assign, compare, one_key_each
from fuzz.differential.outcomes import End, Passed, Reading, Refused
from fuzz.differential.pump import Client, unread
from fuzz.differential.reading import read_text
from fuzz.differential.reading_binary import read_binary
from fuzz.differential.reference import Piece, Reference
from fuzz.differential.rules import EVERYTHING, VALUE_LIMIT
from fuzz.differential.stage import Stage
from fuzz.differential.steadiness import is_unsteady
from fuzz.differential.streams import ANSWERED, SENTINEL, Stream
from fuzz.differential.verbs import VERBS
from tests.support import canonical, packets
from tests.support.canonical import Frame, NotCanonical

HANG_AFTER = 8.0
"""Seconds in which something must move; the machine may be busy."""

ENDING = 0.2
"""Seconds in which a process that closed its connections has ended."""

QUIET = 3
"""Answers to others in a row, with nothing beside them, that show that nothing more comes of a client that left."""

ALONE = ("stats", "STAT", "watch", "shutdown", "refresh_certs")

ASKED = b"asked-by-the-next-client"
QUESTION = {False: b"get %s\r\n" % ASKED, True: packets.packet(packets.GETK, ASKED, opaque=7)}
ANSWER = {
    False: b"END\r\n",
    True: packets.HEADER.pack(0x81, packets.GETK, len(ASKED), 0, 0, 1, len(ASKED), 7, 0) + ASKED,
}


@dataclass(slots=True)
class Counts:
    """What was done so far. `frames` were sent by clients and judged, `upstream` went up.

    `left_out`: streams that were not sent, since two memcacheds need not answer them alike (steadiness.py).
    """

    streams: int = 0
    frames: int = 0
    refused: int = 0
    upstream: int = 0
    left_out: int = 0


class Trial:
    """Runs streams on a stage."""

    def __init__(self, stage: Stage, counts: Counts) -> None:
        self._stage = stage
        self._pump = stage.pump
        self._counts = counts
        self._readers: dict[int, canonical.Stream] = {}
        # The link that all clients share, by whether it is binary: the first one.
        self._shared: dict[bool, int] = {}
        self._reference = Reference(stage.reference)
        for binary in (False, True):
            self._await_link(binary)

    def _await_link(self, binary: bool) -> None:
        """Until the program's link of this protocol is in service. Raises Fault if that never happens."""
        deadline = time.monotonic() + HANG_AFTER
        while True:
            client = Client(self._stage.address(EVERYTHING))
            self._pump.attach(client)
            client.side.pieces.append(SENTINEL[binary])
            client.half_close = True
            self._pump.run(HANG_AFTER, lambda: False)
            self._pump.detach()
            self._taken()
            if bytes(client.got) == ANSWERED[binary]:
                return
            if time.monotonic() > deadline:
                raise Fault(HANG, f"no link to memcached: {bytes(client.got[:200])!r}")

    def close(self) -> None:
        """Close what was opened here."""
        self._reference.close()

    def run(self, stream: Stream) -> None:
        """Raises Fault if anything is not as it must be."""
        flights = [b"".join(parts) for parts in stream.flights]
        binary = flights[0][:1] == b"\x80"
        readings = [
            read_binary(flight, stream.rules) if binary else read_text(flight, stream.rules, VERBS)
            for flight in flights
        ]
        if stream.damaged and any(map(may_differ, readings)):
            self._counts.left_out += 1
            return
        client = Client(self._stage.address(stream.rules))
        self._pump.attach(client)
        try:
            for number, (flight, reading) in enumerate(zip(flights, readings, strict=True)):
                self._counts.frames += len(reading.outcomes)
                self._counts.refused += sum(1 for outcome in reading.outcomes if isinstance(outcome, Refused))
                last = number == len(stream.flights) - 1
                cuts = stream.cuts[number]
                client.side.pieces += [flight[at:end] for at, end in zip([0, *cuts], [*cuts, len(flight)], strict=True)]
                client.side.stepwise = len(client.side.pieces) if stream.forced else 0
                if last and stream.leaves == "away":
                    self._leave(client, reading, binary)
                elif not self._fly(client, reading, binary, not last or stream.leaves == "late half-close"):
                    break
        except Fault:
            # A process that has ended explains the rest.
            self._stage.check(ENDING)
            raise
        finally:
            self._pump.detach()
        self._stage.check()
        self._counts.streams += 1

    def _fly(self, client: Client, reading: Reading, binary: bool, more: bool) -> bool:
        """One flight, after which the client may have `more` to say; whether the connection goes on."""
        # Only if the sentinel is read as such can the client wait for its answer; else it says that it has finished.
        waits = more and reading.end is End.OPEN and is_sentinel(reading.outcomes[-1], binary)
        client.half_close = reading.end is not End.CLOSED and not waits
        before = len(client.got)
        frames: list[Frame] = []
        replies: list[bytes] = []
        differs: Fault | None = None

        def complete() -> bool:
            nonlocal differs
            if not waits or len(client.got) == before or not client.got.endswith(ANSWERED[binary]):
                return False
            differs = self._differs(reading, frames, replies, bytes(client.got[before:]))
            return differs is None

        try:
            self._pump.run(HANG_AFTER, complete)
        except Fault as hang:
            raise differs or hang from hang
        if waits:
            if client.closed:
                raise differs or Fault(OUT_OF_STEP, "the connection was closed without need")
        elif (differs := self._differs(reading, frames, replies, bytes(client.got[before:]))) is not None:
            raise differs
        return waits

    def _differs(self, reading: Reading, frames: list[Frame], replies: list[bytes], got: bytes) -> Fault | None:
        """What is wrong so far; it may only be that not everything has come. Adds to `frames` and `replies`."""
        more_frames, more_replies = self._taken()
        frames += more_frames
        replies += more_replies
        try:
            compare(reading, assign(reading, frames), replies, got)
        except Fault as fault:
            return fault
        return None

    def _leave(self, client: Client, reading: Reading, binary: bool) -> None:
        """Send and close without reading: what goes up then is the client's, as far as it goes."""
        self._pump.run(HANG_AFTER, lambda: not unread(client.connection))
        self._pump.detach()
        frames: list[Frame] = []
        quiet = 0
        while quiet < QUIET:
            more = self._ask(binary)
            quiet = 0 if more else quiet + 1
            frames += more
        assign(reading, frames, partly=True)

    def _ask(self, binary: bool) -> list[Frame]:
        """Another client asks for something and must get its answer; what else went up meanwhile."""
        client = Client(self._stage.address(EVERYTHING))
        self._pump.attach(client)
        client.side.pieces.append(QUESTION[binary])
        client.half_close = True
        self._pump.run(HANG_AFTER, lambda: False)
        self._pump.detach()
        frames, _ = self._taken()
        if bytes(client.got) != ANSWER[binary]:
            raise Fault(OUT_OF_STEP, f"the next client got {bytes(client.got[:200])!r}")
        return [frame for frame in frames if frame.keys != (ASKED,)]

    def _taken(self) -> tuple[list[Frame], list[bytes]]:
        """The frames that the program sent up, by the independent judge, and memcached B's replies to them.

        The `version` that opens each link is not among them.
        """
        pieces: list[Piece] = []
        taken, self._pump.taken = self._pump.taken, []
        for link, data in taken:
            reader = self._readers.get(link)
            try:
                if reader is not None:
                    alone = self._shared.setdefault(bool(reader.binary), link) != link
                    piece = Piece(data, reader.feed(data), bool(reader.binary), alone)
                    if any(needs_own_link(frame) is not alone for frame in piece.frames):
                        raise Fault(OUT_OF_STEP, f"on {'its own' if alone else 'a shared'} link: {data[:200]!r}")
                    pieces.append(piece)
                    continue
                reader = self._readers[link] = canonical.Stream(VALUE_LIMIT)
                verbs = [frame.verb for frame in reader.feed(data)]
            except NotCanonical as fault:
                raise Fault(UNVETTED, str(fault)) from None
            if verbs not in (["version", "mn"], ["VERSION", "NOOP"]):
                raise Fault(UNVETTED, f"a link begins with {data[:200]!r}")
        for link in {link for link, _ in taken}:
            if rest := self._readers[link].rest:
                raise Fault(UNVETTED, f"a frame that is not whole went up: {bytes(rest[:200])!r}")
        frames = [frame for piece in pieces for frame in piece.frames]
        self._counts.upstream += len(frames)
        return one_key_each(frames, self._reference.answers(pieces))


def may_differ(reading: Reading) -> bool:
    """Whether two memcacheds may answer what goes up, or what comes later, in two ways."""
    return any(isinstance(outcome, Passed) and is_unsteady(outcome.upstream) for outcome in reading.outcomes)


def needs_own_link(frame: Frame) -> bool:
    """Whether the reply has no end, keys as they are, or free text, so that nobody else's may be near it."""
    return frame.verb in ALONE or frame.raw.startswith(b"lru_crawler metadump")


def is_sentinel(outcome: Passed | Refused, binary: bool) -> bool:
    """Whether this is the frame that ends each flight."""
    if not isinstance(outcome, Passed):
        return False
    if not binary:
        return outcome.upstream == SENTINEL[False]
    return outcome.upstream[:2] == SENTINEL[True][:2] and outcome.shown(ANSWERED[True]) == ANSWERED[True]
