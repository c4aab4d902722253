"""SASL in frames of the binary protocol (SASLAuthProtocol, measured on memcached 1.6.18).

    AUTH <mechanism> <initial response>     0x21 <challenge>   STEP <mechanism> <response> follows
    STEP <mechanism> <response>             0x00               logged in
                                            0x20               refused

There is no way to say that there is no initial response; an empty one is taken for none.
"""

import struct
from typing import Final

from mcproxy.auth.upstream.errors import LoginRefused, UpstreamConfused
from mcproxy.auth.upstream.exchange import DATA_LIMIT, SaslLogin
from mcproxy.auth.upstream.mechanisms import ClientMechanism

AUTH: Final = 0x21
STEP: Final = 0x22

SUCCESS: Final = 0x00
AUTH_FAILURE: Final = 0x20
AUTH_CONTINUE: Final = 0x21
UNKNOWN_COMMAND: Final = 0x81

FIRST_OPAQUE: Final = 0x6D630001

_HEADER: Final = struct.Struct("!BBHBBHII8s")
"""magic, opcode, key length, extras length, data type, vbucket or status, body length, opaque, cas"""


class BinarySaslLogin(SaslLogin):
    def __init__(self, mechanism: ClientMechanism) -> None:
        super().__init__(mechanism)
        self._opcode = AUTH
        self._opaque = FIRST_OPAQUE

    def _first(self) -> bytes:
        return self._frame(self._mechanism.start())

    def _frame(self, data: bytes) -> bytes:
        name = self._mechanism.name.encode()
        length = len(name) + len(data)
        header = _HEADER.pack(0x80, self._opcode, len(name), 0, 0, 0, length, self._opaque, bytes(8))
        return header + name + data

    def _advance(self) -> bytes | None:
        if not self._buffer.startswith(b"\x81") and self._buffer:
            raise UpstreamConfused("it does not speak the binary protocol")
        if len(self._buffer) < _HEADER.size:
            return None
        _, opcode, key_length, extras_length, data_type, status, body_length, opaque, _ = _HEADER.unpack_from(
            self._buffer
        )
        if (opcode, opaque) != (self._opcode, self._opaque):
            raise UpstreamConfused("its answer is not one to the login")
        # All of this is judged by the header alone: nobody waits for a body that is going to be refused.
        if key_length or extras_length or data_type or body_length > DATA_LIMIT:
            raise UpstreamConfused("its answer to the login is malformed or too long")
        if len(self._buffer) < _HEADER.size + body_length:
            return None
        self._take(_HEADER.size)
        return self._judged(status, self._take(body_length))

    def _judged(self, status: int, body: bytes) -> bytes:
        if status == SUCCESS:
            return self._accepted(body)
        if status == AUTH_CONTINUE:
            response = self._challenged(body)
            self._opcode = STEP
            self._opaque += 1
            return self._frame(response)
        if status == AUTH_FAILURE:
            raise LoginRefused("it refuses the user, the password or the mechanism")
        if status == UNKNOWN_COMMAND:
            raise UpstreamConfused("it has no SASL logins; memcached must run with -S")
        raise UpstreamConfused("it answers the login with an unexpected status")
