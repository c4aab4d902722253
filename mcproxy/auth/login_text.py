"""The login conversation of the text protocol.

Every line but a token login is refused with memcached's `CLIENT_ERROR unauthenticated`. A refused line that
announces a data block takes the block with it, so that one frame gets one error and the connection stays in step;
where the block's length is unknown or unreasonable there is no way back into step, and it closes.
"""

import re
from typing import Final

from mcproxy.auth import token as token_login
from mcproxy.auth.conversation import DEFAULT_FAILURES, Conversation
from mcproxy.auth.credentials import Malformed
from mcproxy.auth.steps import Attempt

LINE_LIMIT: Final = 2048
"""Bytes in a command line with its line end, as memcached has it (protocol.md, measured)."""

BLOCK_LIMIT: Final = 4096
"""Bytes in a data block that is taken along. memcached 1.6.18 crashes on `set x 0 0 2147483646` before login."""

LINE_END_ERROR: Final = b"CLIENT_ERROR line must end in \\r\\n\r\n"
LINE_LENGTH_ERROR: Final = b"CLIENT_ERROR line too long\r\n"

_LENGTH: Final = re.compile(rb"0|[1-9][0-9]{0,9}")
_LENGTH_WORD: Final = {
    **dict.fromkeys((b"set", b"add", b"replace", b"append", b"prepend", b"cas"), 4),
    b"ms": 2,
}
"""Commands that a data block follows, and which of their words is its length."""


class TextLogin(Conversation):
    """`token`: whether the token login is allowed; without it nothing can log in here and every line is refused."""

    def __init__(self, *, token: bool = True, failures: int = DEFAULT_FAILURES) -> None:
        super().__init__(failures=failures)
        self._token_allowed = token
        self._block_length: int | None = None
        self._block_is_token = False

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
        elif words and words[0] in _LENGTH_WORD:
            self._storage(words)
        else:
            self._reply(token_login.UNAUTHENTICATED, "a command before login")

    def _storage(self, words: list[bytes]) -> None:
        position = _LENGTH_WORD[words[0]]
        length = words[position] if len(words) > position else b""
        if not _LENGTH.fullmatch(length) or int(length) > BLOCK_LIMIT:
            self._refuse_and_close(token_login.UNAUTHENTICATED, "a data block of unknown or unreasonable length")
            return
        self._block_length = int(length)
        self._block_is_token = self._token_allowed and token_login.is_login_line(words)

    def _block(self, length: int) -> bool:
        if len(self._buffer) < length + 2:
            return False
        self._block_length = None
        block = self._take(length + 2)
        if not block.endswith(b"\r\n"):
            self._refuse_and_close(token_login.BAD_TERMINATION, "a data block that does not end where it should")
        elif self._block_is_token:
            self._log_in_with(block[:-2])
        else:
            self._reply(token_login.UNAUTHENTICATED, "a command before login")
        return True

    def _log_in_with(self, token: bytes) -> None:
        parsed = token_login.parse(token)
        if isinstance(parsed, Malformed):
            self._fail(token_login.BAD_TOKEN, parsed.reason)
            return
        self._attempt(
            Attempt(parsed.username, parsed.password, token_login.MECHANISM),
            success=token_login.ACCEPTED,
            failure=token_login.AUTHENTICATION_FAILURE,
            token=token,
        )

    def _refuse_and_close(self, reply: bytes, reason: str) -> None:
        self._reply(reply, reason)
        self._close(reason)
