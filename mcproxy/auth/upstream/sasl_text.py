"""SASL in lines of the text protocol, as arcus-memcached and mcproxy have it.

    sasl mech\\r\\n                                     SASL_MECH <names>\\r\\n
    sasl auth <mechanism> <bytes>\\r\\n<data>\\r\\n     SASL_CONTINUE <bytes>\\r\\n<data>\\r\\n
    sasl auth <bytes>\\r\\n<data>\\r\\n                 SASL_OK\\r\\n or AUTH_ERROR\\r\\n

The list is asked for first, not to choose from it: a memcached without these commands takes the data that follows for
commands, and PLAIN's holds the password.
"""

import re
from typing import Final

from mcproxy.auth.upstream.errors import LoginRefused, UpstreamConfused
from mcproxy.auth.upstream.exchange import DATA_LIMIT, SaslLogin
from mcproxy.auth.upstream.lines import taken_line
from mcproxy.auth.upstream.mechanisms import ClientMechanism

_CONTINUE: Final = re.compile(rb"SASL_CONTINUE (0|[1-9][0-9]{0,3})\r\n")
_LIST: Final = b"SASL_MECH"


class TextSaslLogin(SaslLogin):
    def __init__(self, mechanism: ClientMechanism) -> None:
        super().__init__(mechanism)
        self._listed = False
        self._challenge_length: int | None = None

    def _first(self) -> bytes:
        return b"sasl mech\r\n"

    def _advance(self) -> bytes | None:
        if self._challenge_length is not None:
            return self._block(self._challenge_length)
        line = taken_line(self._buffer)
        if line is None:
            return None
        return self._answer(line) if self._listed else self._list(line)

    def _list(self, line: bytes) -> bytes:
        command, *names = line[:-2].split(b" ")
        if command != _LIST:
            raise UpstreamConfused("it has no SASL logins in the text protocol")
        name = self._mechanism.name.encode()
        if name not in (listed.upper() for listed in names):
            raise LoginRefused("it does not offer the SASL mechanism to log in with")
        self._listed = True
        return _command(b"sasl auth %s" % name, self._mechanism.start())

    def _answer(self, line: bytes) -> bytes | None:
        if line == b"SASL_OK\r\n":
            return self._accepted(b"")
        if line == b"AUTH_ERROR\r\n" or line.startswith(b"AUTH_ERROR "):
            raise LoginRefused("it refuses the user, the password or the mechanism")
        announced = _CONTINUE.fullmatch(line)
        if announced is None:
            raise UpstreamConfused("its answer to the login is none that SASL has")
        self._challenge_length = int(announced[1])
        if self._challenge_length > DATA_LIMIT:
            raise UpstreamConfused("its challenge is too long")
        return self._block(self._challenge_length)

    def _block(self, length: int) -> bytes | None:
        if len(self._buffer) < length + 2:
            return None
        self._challenge_length = None
        block = self._take(length + 2)
        if not block.endswith(b"\r\n"):
            raise UpstreamConfused("its challenge does not end where it should")
        return _command(b"sasl auth", self._challenged(block[:-2]))


def _command(line: bytes, data: bytes) -> bytes:
    return b"%s %d\r\n%s\r\n" % (line, len(data), data)
