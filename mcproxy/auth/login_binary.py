"""The login conversation of the binary protocol: SASL as `memcached -S` speaks it (SASLAuthProtocol, measured).

LIST_MECHS, AUTH and STEP are answered; anything else is refused with "Auth failure." and closes, VERSION, NOOP and
QUIT included. 0x81 "Unknown command" never comes from here: some clients take it, in answer to LIST_MECHS, to mean
that no login is needed.
"""

import struct
from dataclasses import dataclass
from typing import Final

from mcproxy.auth.exchange import SaslConversation
from mcproxy.auth.offer import NAME_LIMIT

LIST_MECHS: Final = 0x20
AUTH: Final = 0x21
STEP: Final = 0x22

SUCCESS: Final = 0x00
INVALID_ARGUMENTS: Final = 0x04
AUTH_FAILURE: Final = 0x20
AUTH_CONTINUE: Final = 0x21

# The bodies that memcached 1.6.18 sends with them (measured).
_TEXTS: Final = {INVALID_ARGUMENTS: b"Invalid arguments", AUTH_FAILURE: b"Auth failure."}

BODY_LIMIT: Final = 4096
"""Bytes of key and value in a frame before login."""

FRAME_LIMIT: Final = 0x4000_0000
"""A body beyond 1 GiB is no frame of any command: memcached 1.6.18 waits for ever, newer ones refuse it."""

_HEADER: Final = struct.Struct("!BBHBBHII8s")
"""magic, opcode, key length, extras length, data type, vbucket or status, body length, opaque, cas"""


@dataclass(frozen=True, slots=True)
class _Frame:
    opcode: int
    key_length: int
    extras_length: int
    body_length: int
    opaque: int

    def reply(self, status: int, body: bytes | None = None) -> bytes:
        """Opcode and opaque are the request's. Without a body it is memcached's text for the status."""
        body = _TEXTS[status] if body is None else body
        return _HEADER.pack(0x81, self.opcode, 0, 0, 0, status, len(body), self.opaque, bytes(8)) + body

    def challenge(self, data: bytes) -> bytes:
        return self.reply(AUTH_CONTINUE, data)

    def success(self) -> bytes:
        return self.reply(SUCCESS, b"Authenticated")

    def failure(self) -> bytes:
        return self.reply(AUTH_FAILURE)


class BinaryLogin(SaslConversation):
    """Where no mechanism is offered every frame is refused."""

    def _advance(self) -> bool:
        if not self._buffer.startswith(b"\x80") and self._buffer:
            self._close("not a frame of the binary protocol")
            return True
        if len(self._buffer) < _HEADER.size:
            return False
        _, opcode, key_length, extras_length, _, _, body_length, opaque, _ = _HEADER.unpack_from(self._buffer)
        frame = _Frame(opcode, key_length, extras_length, body_length, opaque)
        # All of this is judged by the header alone: nobody waits for a body that is going to be refused.
        if key_length + extras_length > body_length or body_length > FRAME_LIMIT:
            self._refuse_and_close(frame, INVALID_ARGUMENTS, "a malformed header")
        elif opcode not in (LIST_MECHS, AUTH, STEP) or not self._offer.names:
            self._refuse_and_close(frame, AUTH_FAILURE, "a command before login")
        elif not self._well_formed(frame):
            self._refuse_and_close(frame, INVALID_ARGUMENTS, "a malformed SASL frame")
        elif len(self._buffer) < _HEADER.size + body_length:
            return False
        else:
            self._take(_HEADER.size)
            self._sasl(frame, self._take(key_length), self._take(body_length - key_length))
        return True

    def _well_formed(self, frame: _Frame) -> bool:
        if frame.opcode == LIST_MECHS:
            return frame.body_length == 0
        return frame.extras_length == 0 and frame.key_length > 0 and frame.body_length <= BODY_LIMIT

    def _sasl(self, frame: _Frame, name: bytes, response: bytes) -> None:
        if frame.opcode == LIST_MECHS:
            self._reply(frame.reply(SUCCESS, self._offer.listed))
        elif len(name) > NAME_LIMIT:
            self._reply(frame.reply(INVALID_ARGUMENTS), "a mechanism name that is too long")
        elif frame.opcode == AUTH:
            self._begin(frame, name, response)
        else:
            self._go_on(frame, response, name)

    def _refuse_and_close(self, frame: _Frame, status: int, reason: str) -> None:
        self._reply(frame.reply(status), reason)
        self._close(reason)
