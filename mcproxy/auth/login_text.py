"""The login conversation of the text protocol: by a token as `memcached -Y` has it, by SASL as arcus-memcached has it.

    sasl mech\\r\\n                                     SASL_MECH <names>\\r\\n
    sasl auth <mechanism> <bytes>\\r\\n<data>\\r\\n     SASL_OK\\r\\n, AUTH_ERROR\\r\\n
    sasl auth <bytes>\\r\\n<data>\\r\\n                 or SASL_CONTINUE <bytes>\\r\\n<data>\\r\\n

Every other line is refused with memcached's `CLIENT_ERROR unauthenticated`. A refused line that announces a data block
takes the block with it, so that one frame gets one error and the connection stays in step; where the block's length is
unknown or unreasonable there is no way back into step, and it closes.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Final

from mcproxy.auth import token as token_login
from mcproxy.auth.conversation import DEFAULT_FAILURES
from mcproxy.auth.credentials import Malformed
from mcproxy.auth.exchange import SaslConversation
from mcproxy.auth.offer import Offer
from mcproxy.auth.principals import Principal
from mcproxy.auth.steps import Attempt

LINE_LIMIT: Final = 2048
"""Bytes in a command line with its line end, as memcached has it (protocol.md, measured)."""

BLOCK_LIMIT: Final = 4096
"""Bytes in a data block that is taken along. memcached 1.6.18 crashes on `set x 0 0 2147483646` before login."""

LINE_END_ERROR: Final = b"CLIENT_ERROR line must end in \\r\\n\r\n"
LINE_LENGTH_ERROR: Final = b"CLIENT_ERROR line too long\r\n"
BAD_FORMAT: Final = b"CLIENT_ERROR bad command line format\r\n"

_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,9}")
_LENGTH_WORD: Final = {
    **dict.fromkeys((b"set", b"add", b"replace", b"append", b"prepend", b"cas"), 4),
    b"ms": 2,
}
"""Commands that a data block follows, and which of their words is its length."""


class _Answers:
    """arcus-memcached's words (its ascii-protocol, chapter "SASL")."""

    def challenge(self, data: bytes) -> bytes:
        return b"SASL_CONTINUE %d\r\n%s\r\n" % (len(data), data)

    def success(self) -> bytes:
        return b"SASL_OK\r\n"

    def failure(self) -> bytes:
        return b"AUTH_ERROR\r\n"


_ANSWERS: Final = _Answers()


class TextLogin(SaslConversation):
    """`token`: whether the token login is allowed. With neither that nor an offer of SASL every line is refused."""

    def __init__(self, offer: Offer, *, token: bool = True, failures: int = DEFAULT_FAILURES) -> None:
        super().__init__(offer, failures=failures)
        self._token_allowed = token
        self._block_length: int | None = None
        self._with_block: Callable[[bytes], None] = self._refuse_block

    def _advance(self) -> bool:
        return self._line() if self._block_length is None else self._block(self._block_length)

    def _line(self) -> bool:
        end = self._buffer.find(b"\n", 0, LINE_LIMIT)
        if end < 0:
            if len(self._buffer) < LINE_LIMIT:
                return False
            self._refuse_and_close(LINE_LENGTH_ERROR, "a line too long before login")
            return True
        line = self._take(end + 1)
        if not line.endswith(b"\r\n"):
            self._refuse_and_close(LINE_END_ERROR, "a line that ends in a bare line feed")
            return True
        self._command([word for word in line[:-2].split(b" ") if word])
        return True

    def _command(self, words: list[bytes]) -> None:
        if words == [b"quit"]:
            self._close("the client quit before login")
        elif words and words[0].isupper() and words[-1].startswith(b"HTTP/"):
            # As memcached does: a browser made to post here gets nothing, and none of its other lines is looked at.
            self._close("an HTTP request")
        elif words[:1] == [b"sasl"]:
            self._sasl(words)
        elif words and words[0] in _LENGTH_WORD:
            self._storage(words)
        else:
            self._reply(token_login.UNAUTHENTICATED, "a command before login")

    def _storage(self, words: list[bytes]) -> None:
        if self._token_allowed and (length := token_login.length_word(words)) is not None:
            meta = words[0] == b"ms"
            accepted = token_login.ACCEPTED_META if meta else token_login.ACCEPTED
            self._expect(length, partial(self._log_in_with, accepted))
        else:
            position = _LENGTH_WORD[words[0]]
            self._expect(words[position] if len(words) > position else b"", self._refuse_block)

    def _sasl(self, words: list[bytes]) -> None:
        offered = bool(self._offer.names)
        match words[1:]:
            case [b"mech"] if offered:
                self._reply(b"SASL_MECH " + self._offer.listed + b"\r\n")
            case [b"auth", name, length] if offered:
                self._expect(length, partial(self._begin, _ANSWERS, name))
            case [b"auth", length] if offered:
                self._expect(length, partial(self._go_on, _ANSWERS))
            case [b"auth", _, length] | [b"auth", length]:
                self._expect(length, self._refuse_block)
            case [b"auth", *_]:
                self._refuse_and_close(BAD_FORMAT, "a malformed SASL command")
            case _ if offered:
                self._reply(BAD_FORMAT, "a malformed SASL command")
            case _:
                self._reply(token_login.UNAUTHENTICATED, "a command before login")

    def _expect(self, length: bytes, then: Callable[[bytes], None]) -> None:
        """A data block of that length follows, if that is one; `then` gets it without its line end."""
        if not _LENGTH.fullmatch(length) or int(length) > BLOCK_LIMIT:
            self._refuse_and_close(token_login.UNAUTHENTICATED, "a data block of unknown or unreasonable length")
            return
        self._block_length = int(length)
        self._with_block = then

    def _block(self, length: int) -> bool:
        if len(self._buffer) < length + 2:
            return False
        self._block_length = None
        block = self._take(length + 2)
        if block.endswith(b"\r\n"):
            self._with_block(block[:-2])
        else:
            self._refuse_and_close(token_login.BAD_TERMINATION, "a data block that does not end where it should")
        return True

    def _refuse_block(self, block: bytes) -> None:
        self._reply(token_login.UNAUTHENTICATED, "a command before login")

    def _log_in_with(self, reply: bytes, token: bytes) -> None:
        parsed = token_login.parse(token)
        if isinstance(parsed, Malformed):
            self._fail(token_login.BAD_TOKEN, parsed.reason)
            return
        principal = Principal("user", parsed.username)
        self._ask(
            Attempt(parsed.username, parsed.password, token_login.MECHANISM),
            accepted=partial(self._log_in, principal, token_login.MECHANISM, reply, token),
            failure=token_login.AUTHENTICATION_FAILURE,
        )

    def _refuse_and_close(self, reply: bytes, reason: str) -> None:
        self._reply(reply, reason)
        self._close(reason)
