"""Requests of text clients as packets, and what their replies come to: told by the client's words and the statuses."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mcproxy.wire.outcome import Pending, Refusal
from mcproxy.wire.requests import Request
from mcproxy.wire.text import TextParser
from mcproxy.wire.to_binary import to_binary
from tests.unit.wire.answering import frames_of, response
from tests.unit.wire.driving import Collector
from tests.unit.wire.granting import text_rules
from tests.unit.wire.reading import Reading, read, read_every_way

FIRST_OPAQUE = 0xFFFFFFFF
"""So that they begin anew within most conversations."""


@dataclass(frozen=True)
class Answer:
    """What upstream answers to a packet, whose opcode and opaque it has unless they are given here."""

    status: int = 0
    value: bytes = b""
    extras: bytes = b""
    key: bytes = b""
    cas: int = 0
    opcode: int | None = None
    opaque: int | None = None
    magic: int = 0x81

    def to(self, packet: bytes) -> bytes:
        """As a packet."""
        opaque = int.from_bytes(packet[12:16], "big") if self.opaque is None else self.opaque
        opcode = packet[1] if self.opcode is None else self.opcode
        return response(opcode, opaque, self.status, self.extras, self.key, self.value, cas=self.cas, magic=self.magic)


def hit(key: bytes, value: bytes, flags: int = 7, cas: int = 99) -> Answer:
    """Of GETK and GATK."""
    return Answer(0, value, flags.to_bytes(4, "big"), key, cas)


def miss(key: bytes) -> Answer:
    """Of GETK and GATK."""
    return Answer(1, key=key)


def number(value: int, cas: int = 0) -> Answer:
    """Of INCR and DECR."""
    return Answer(0, value.to_bytes(8, "big"), cas=cas)


def translated(sink: Collector, text: bytes, *, room: int = 1000, overlong: bool = False) -> list[Request | Refusal]:
    """What becomes of a client's frames."""
    parser = TextParser(text_rules(), sink, digest_overlong_keys=overlong)
    outcomes: list[Request | Refusal] = []
    position = 0
    while position < len(text) or parser.cutting:
        outcome = parser.next(text, position, room)
        assert not isinstance(outcome, Pending)
        outcomes.append(to_binary(outcome) if isinstance(outcome, Request) else outcome)
        position = parser.end
    return outcomes


def refusal(text: bytes) -> Refusal:
    """The proxy's own answer to a frame."""
    (outcome,) = translated(Collector(), text)
    assert isinstance(outcome, Refusal)
    return outcome


Sent = list[list[bytes]]


def asking(
    text: bytes, sent: Sent | None = None, *, room: int = 1000, overlong: bool = False
) -> Callable[[Collector], list[Request]]:
    """Makes the requests of a client that says `text`, gone up as packets, which are added to `sent` by request."""

    def make(sink: Collector) -> list[Request]:
        opaque = FIRST_OPAQUE
        requests: list[Request] = []
        for request in translated(sink, text, room=room, overlong=overlong):
            assert isinstance(request, Request), request
            request.upstream = request.packet(opaque)
            opaque = (opaque + request.packets()) % 2**32
            frames = [frame.raw for frame in frames_of(request.to_send(), 1 << 21)]
            assert len(frames) == request.packets()
            if sent is not None:
                sent.append(frames)
            sink.in_flight += request.cost
            requests.append(request)
        return requests

    return make


def packets_of(text: bytes, *, room: int = 1000, overlong: bool = False) -> list[bytes]:
    """What goes up."""
    sent: Sent = []
    asking(text, sent, room=room, overlong=overlong)(Collector())
    return [packet for packets in sent for packet in packets]


def stream(text: bytes, *answers: Answer, room: int = 1000, overlong: bool = False) -> bytes:
    """Upstream's answers to the first packets, as they come; more answers than packets are all to the last one."""
    packets = packets_of(text, room=room, overlong=overlong)
    packets += packets[-1:] * (len(answers) - len(packets))
    return b"".join(answer.to(packet) for answer, packet in zip(answers, packets, strict=False))


def said(text: bytes, *answers: Answer, every_way: bool = True, room: int = 1000, overlong: bool = False) -> Reading:
    """What a client gets that says `text`, if upstream answers so."""
    reader = read_every_way if every_way else read
    make = asking(text, room=room, overlong=overlong)
    return reader(make, stream(text, *answers, room=room, overlong=overlong))


def gets(text: bytes, *answers: Answer, overlong: bool = False) -> bytes:
    """What a client gets, when all goes well."""
    reading = said(text, *answers, overlong=overlong)
    assert (reading.lost, reading.waiting, reading.was_cut_short) == ("", 0, False)
    return reading.received


def failed(text: bytes, data: bytes, *, room: int = 1000, overlong: bool = False) -> Collector:
    """What a client has got whose link is lost after `data`."""
    sink = Collector()
    requests = asking(text, room=room, overlong=overlong)(sink)
    position = 0
    while requests:
        position = requests[0].take(data, position)
        if not requests[0].done:
            break
        requests.pop(0).finish()
    for request in requests:
        request.fail(b"lost")
        request.finish()
    assert sink.in_flight == 0
    return sink


Change = Callable[[Answer, bytes], Answer]
WRONG: dict[str, tuple[Change, ...]] = {
    "a reply to another request": (
        lambda answer, packet: replace(answer, opaque=int.from_bytes(packet[12:16], "big") ^ 1),
        lambda answer, packet: replace(answer, opcode=packet[1] ^ 1),
        lambda answer, packet: replace(answer, magic=0x80),
    ),
    "a reply that the operation cannot have": (
        lambda answer, packet: replace(answer, extras=answer.extras + b"\0"),
        lambda answer, packet: replace(answer, key=answer.key + b"x"),
        lambda answer, packet: replace(answer, status=0x99, key=b"", extras=b"", value=b""),
        lambda answer, packet: replace(answer, status=0x04, key=b"", extras=b"", value=b""),
        lambda answer, packet: replace(answer, status=0x86, key=b"", extras=b"", value=b"two\r\nlines"),
        lambda answer, packet: replace(answer, status=0x24, key=b"", extras=b"", value=b"x" * 1025),
    ),
    "upstream asks for a login": (
        lambda answer, packet: replace(answer, status=0x20, key=b"", extras=b"", value=b"Auth failure."),
    ),
}
"""What drops the link, whatever was asked: a change of the right answer."""


def faults(text: bytes, right: Answer) -> None:
    """Hold `text`, one frame, against all of WRONG."""
    packet = packets_of(text)[0]
    for reason, changes in WRONG.items():
        for change in changes:
            wrong = change(right, packet)
            reading = said(text, wrong)
            assert (reading.lost, reading.received) == (reason, b"SERVER_ERROR lost\r\n"), wrong
