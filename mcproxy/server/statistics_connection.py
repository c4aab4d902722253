"""A connection on which an upstream is asked for its figures, in the proxy's own name."""

import errno
import itertools
from typing import Final

from mcproxy.observe.memcached import Figures
from mcproxy.relay.secured import RECEIVE_SIZE, Connection, socket_of
from mcproxy.server.dialogue import greet
from mcproxy.server.link_opening import open_connection
from mcproxy.server.state import UpstreamState
from mcproxy.server.statistics_answers import QUESTIONS, figures_of, general_lines_of, is_denial, lines_of
from mcproxy.server.streams import receive, send_all
from mcproxy.wire.administration_requests import LinesRequest
from mcproxy.wire.outcome import Refusal
from mcproxy.wire.requests import OutOfStep, Request, Sink
from mcproxy.wire.tally import Tally
from mcproxy.wire.to_binary import to_binary

LONGEST_ANSWER: Final = 256 * 1024
"""Bytes. `stats items` of all 63 slab classes has about 60,000."""


class _Answer(Sink):
    """What upstream says, in text's words whatever it speaks."""

    def __init__(self) -> None:
        super().__init__(Tally())
        self.text = b""

    def deliver(self, data: bytes) -> None:
        self.text += data

    def finished(self, request: Request) -> None:
        """All of it is there."""


class StatisticsConnection:
    """Opened as a link is: TLS, login and greeting. It goes with the state of an upstream that it was opened with."""

    def __init__(self, connection: Connection, upstream: UpstreamState, protocol: str) -> None:
        self._connection = connection
        self._upstream = upstream
        self._protocol = protocol
        # An mcproxy that doesn't grant them isn't asked again: it logs and counts each denial.
        self._questions = list(QUESTIONS)
        self._opaques = itertools.count(1)

    @classmethod
    async def open(cls, upstream: UpstreamState, protocol: str) -> "StatisticsConnection":
        """Raises NotOpened. Each step may take upstream.timeout."""
        return cls(await open_connection(upstream, protocol), upstream, protocol)

    def is_of(self, upstream: UpstreamState) -> bool:
        """Whether it would be opened in the same way now: same trust, same certificate of ours, same login."""
        before = self._upstream
        return (before.trust, before.shown, before.login) == (upstream.trust, upstream.shown, upstream.login)

    async def ask(self) -> Figures:
        """Raises OSError, and OutOfStep, NotOpened or NotFigures for answers that are none. Bounded by the caller."""
        answers: dict[bytes, dict[str, str] | None] = {}
        for question in list(self._questions):
            answer = await self._answer(question)
            if is_denial(answer):
                self._questions.remove(question)
            else:
                answers[question] = (general_lines_of if question == b"stats" else lines_of)(answer)
        if not self._questions:
            await greet(self._connection, self._protocol, self._upstream.settings.engine, quoting=False)
        return figures_of(answers)

    async def _answer(self, question: bytes) -> bytes:
        answer = _Answer()
        request = self._request(answer, question)
        await send_all(self._connection, request.upstream)
        received = b""
        while not request.done:
            data = await receive(self._connection, RECEIVE_SIZE)
            if not data:
                raise ConnectionResetError(errno.ECONNRESET, "upstream closed the connection")
            received += data
            received = received[request.take(received, 0) :]
            if len(received) + len(answer.text) > LONGEST_ANSWER:
                raise OutOfStep("statistics that are too long")
        if received:
            raise OutOfStep("bytes that answer no request")
        return answer.text

    def _request(self, answer: _Answer, question: bytes) -> Request:
        lines = LinesRequest(answer, question + b"\r\n", "stats")
        if self._protocol == "text":
            return lines
        packets = to_binary(lines)
        if isinstance(packets, Refusal):
            raise AssertionError(f"no such statistics in binary: {question!r}")
        packets.upstream = packets.packet(next(self._opaques))
        return packets

    def close(self) -> None:
        """Give it up, whatever may still come."""
        socket_of(self._connection).close()
