"""Requests that need a link of their own: their replies have many lines, no end, or keys printed as they are.

Nothing goes before them on that link but its opening, and nothing behind them: `lru_crawler metadump` is refused by
memcached where something does, and what follows an END that a key only looks like is nobody's.
"""

import re
from typing import ClassVar, Final

from mcproxy.wire import grammar
from mcproxy.wire.requests import LineRequest, Request, Sink, expect_more, one_of

_TEXT: Final = rb" [\x20-\x7e]{0,256}\r\n|"
# What memcached says of refresh_certs is OK or a sentence, TLS's own among them.
_SENTENCE: Final = one_of(rb"(?!" + grammar.LOGIN_WANTED + rb")[\x20-\x7e]{1,1024}")


class LinesRequest(Request):
    """A `stats` command: lines up to END, or one line that is all of the reply."""

    __slots__ = ()
    private: bool = True
    lines: ClassVar["re.Pattern[bytes]"] = re.compile(rb"(?:STAT|ITEM|PREFIX) [^\r\n]{0,2000}\r\n")
    last: ClassVar["re.Pattern[bytes]"] = re.compile(
        rb"END\r\n|RESET\r\n|OK\r\n|ERROR\r\n|" + grammar.CLIENT_ERROR + _TEXT + grammar.FAILURE
    )

    def __init__(self, sink: Sink, upstream: bytes, count: str) -> None:
        super().__init__(sink, upstream, 1, count)

    def take(self, buffer: bytes, position: int) -> int:
        """Consume whole lines."""
        start = position
        while True:
            match = self.lines.match(buffer, position)
            if match is None:
                match = self.last.match(buffer, position)
                if match is None:
                    expect_more(buffer, position)
                    break
                self.done = True
            position = match.end()
            if self.done:
                break
        if position > start:
            self.sink.deliver(buffer[start:position])
        return position

    def fail(self, reason: bytes) -> None:
        """One error line; clients take it as the end of the list."""
        self.sink.deliver(b"SERVER_ERROR " + reason + b"\r\n")


class Metadump(LinesRequest):
    """`lru_crawler metadump`: a line for each item, its key URI-encoded, that ends in a line feed alone; then END.

    Newer memcacheds begin with OK. Where the crawler can't begin, one line says why.
    """

    __slots__ = ("begun",)
    # Many at once: there may be millions.
    lines: ClassVar = re.compile(rb"(?:key=[\x21-\x7e]{1,800} [\x20-\x7e]{0,400}\n)+")
    last: ClassVar = re.compile(
        rb"END\r\n|(?:BUSY|BADCLASS|NOTSTARTED|" + grammar.CLIENT_ERROR + b")" + _TEXT + grammar.FAILURE
    )
    first: ClassVar = re.compile(rb"OK\r\n|(ERROR(?: [\x20-\x7e]{0,256})?\r\n)")

    def __init__(self, sink: Sink, upstream: bytes, count: str) -> None:
        super().__init__(sink, upstream, count)
        self.begun = False

    def take(self, buffer: bytes, position: int) -> int:
        """Consume whole lines."""
        if not self.begun:
            match = self.first.match(buffer, position)
            if match is not None:
                self.begun = True
                self.done = match[1] is not None
                self.sink.deliver(match[0])
                return match.end() if self.done else super().take(buffer, match.end())
        end = super().take(buffer, position)
        self.begun = self.begun or end > position
        return end


class Watch(Request):
    """`watch`: OK, and from then on whatever memcached logs, for as long as both sides stay; or an error line."""

    __slots__ = ("begun",)
    private: bool = True
    error: ClassVar = one_of(rb"(?:ERROR|WATCHER_[A-Z_]{1,32}|" + grammar.CLIENT_ERROR + rb")(?: [\x20-\x7e]{0,256})?")

    def __init__(self, sink: Sink, upstream: bytes, count: str) -> None:
        super().__init__(sink, upstream, 1, count)
        self.begun = False

    @property
    def endless(self) -> bool:
        """From its OK on: it can't be late, and nothing comes behind it."""
        return self.begun

    def take(self, buffer: bytes, position: int) -> int:
        """Consume everything."""
        if not self.begun:
            if not buffer.startswith(b"OK\r\n", position):
                match = self.error.match(buffer, position)
                if match is None:
                    expect_more(buffer, position)
                    return position
                self.done = True
                self.sink.deliver(match[0])
                return match.end()
            self.begun = True
            self.sink.goes_on_for_ever()
        self.sink.deliver(buffer[position:])
        return len(buffer)

    def fail(self, reason: bytes) -> None:
        """One error line; or the end of the client's connection, as it would end at memcached itself."""
        if self.begun:
            self.sink.cut_short()
        else:
            self.sink.deliver(b"SERVER_ERROR " + reason + b"\r\n")


class Shutdown(LineRequest):
    """`shutdown`: memcached says why it doesn't, or closes the connection; then the client's is closed too."""

    __slots__ = ()
    private: bool = True
    # 1.6.18 says "ERROR: shutdown not enabled", newer ones "SERVER_ERROR: ...".
    refused: ClassVar = re.compile(b"(?:ERROR|SERVER_ERROR|" + grammar.CLIENT_ERROR + rb"):? [\x20-\x7e]{0,256}\r\n")

    def __init__(self, sink: Sink, upstream: bytes, count: str) -> None:
        super().__init__(sink, upstream, count, self.refused, silent=False)

    def upstream_closed(self) -> None:
        """It did as it was told."""
        self.sink.cut_short()


class Certificates(LineRequest):
    """`refresh_certs`: one line, whose text is free; so nobody else's reply may be near it."""

    __slots__ = ()
    private: bool = True

    def __init__(self, sink: Sink, upstream: bytes, count: str) -> None:
        super().__init__(sink, upstream, count, _SENTENCE, silent=False)
