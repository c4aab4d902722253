"""What the proxy would make of a client's bytes: its own parser is given them, and nobody what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mcproxy.relay.session import Translate
from mcproxy.wire.outcome import LogInAgain, Pending, Refusal
from mcproxy.wire.parser import Parser
from mcproxy.wire.pipelining import one_at_a_time
from mcproxy.wire.requests import Request, Sink
from mcproxy.wire.retrieval import Retrieval
from mcproxy.wire.tally import Tally
from mcproxy.wire.text import TextParser
from mcproxy.wire.text_rules import TextRules

_LINE_END = b"\r\n"


@dataclass(frozen=True)
class Circumstances:
    """What a verdict goes by, beside the rules. `translate`: upstream speaks something else."""

    digest_overlong_keys: bool = False
    refuse_pipelining: bool = False
    mechanisms: bytes | None = None
    translate: Translate | None = None


@dataclass
class Frame:
    """One frame and what became of it. `line` is its command line, without the end; of a run of gets, several.

    `refusal` is why it goes no further, `missing` how many bytes of it have not come; without either it may pass.
    `upstream` are the requests that it became, before they are translated; none if the proxy answers by itself.
    `closes`: the connection ends with it.
    """

    line: bytes
    upstream: list[Request] = field(default_factory=list)
    refusal: Refusal | None = None
    answer: bytes = b""
    missing: int = 0
    closes: bool = False
    logs_in: bool = False

    @property
    def allowed(self) -> bool:
        return self.refusal is None and not self.missing


class _Nobody(Sink):
    """No reply will come."""

    def __init__(self) -> None:
        super().__init__(Tally())

    def deliver(self, data: bytes) -> None: ...

    def cut_short(self) -> None: ...

    def finished(self, request: Request) -> None: ...

    def goes_on_for_ever(self) -> None: ...


def frames(text: bytes, rules: TextRules, circumstances: Circumstances) -> Iterator[Frame]:
    """The frames in `text`, as somebody sends them who has logged in, up to one that ends the connection.

    A line end that is missing at the end is put there. So is the data block of a last command line: what it holds
    doesn't matter.
    """
    data = text if text.endswith(b"\n") else text + _LINE_END
    sink = _Nobody()
    text_parser = TextParser(
        rules, sink, mechanisms=circumstances.mechanisms, digest_overlong_keys=circumstances.digest_overlong_keys
    )
    parser: Parser = one_at_a_time(text_parser, sink) if circumstances.refuse_pipelining else text_parser
    room = rules.limits.keys
    position = 0
    while position < len(data):
        start, end_of_line = position, data.find(b"\n", position) + 1
        frame = Frame(data[start:end_of_line].removesuffix(_LINE_END))
        while True:
            outcome = parser.next(data, position, room)
            if isinstance(outcome, Pending):
                # Never for want of room: there is some for as many answers as a line may have keys.
                if end_of_line < len(data):
                    frame.missing = parser.needed - len(data)
                    break
                data += b"x" * (parser.needed - len(data) - len(_LINE_END)) + _LINE_END
                continue
            position = parser.end
            if isinstance(outcome, Retrieval):
                frame.line = data[start:position].removesuffix(_LINE_END)
            _note(frame, outcome, circumstances)
            if isinstance(outcome, Refusal) and outcome.swallow:
                position += outcome.swallow
            if frame.closes or frame.logs_in or not (text_parser.cutting or _goes_on(text_parser, position, data)):
                break
        yield frame
        if frame.closes or frame.logs_in or frame.missing:
            return


def _goes_on(parser: TextParser, position: int, data: bytes) -> bool:
    """Whether what comes next still belongs to the frame before, and is there."""
    return parser.continuing and position < len(data)


def _note(frame: Frame, outcome: Request | Refusal | LogInAgain, circumstances: Circumstances) -> None:
    if isinstance(outcome, LogInAgain):
        frame.logs_in = True
        return
    if isinstance(outcome, Request):
        frame.upstream.append(outcome)
        if circumstances.translate is None:
            return
        translated = circumstances.translate(outcome)
        if isinstance(translated, Request):
            return
        outcome = translated
    if outcome.reason:
        frame.refusal = frame.refusal or outcome
    else:
        frame.answer += outcome.reply
    frame.closes = frame.closes or outcome.close
