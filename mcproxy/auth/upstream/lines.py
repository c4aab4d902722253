"""Answers of the text protocol during a login, a line at a time."""

from typing import Final

from mcproxy.auth.upstream.errors import UpstreamConfused

LINE_LIMIT: Final = 1024
"""Bytes with the line end; the longest, a list of mechanisms, has a few hundred."""


def taken_line(buffer: bytearray) -> bytes | None:
    """Takes the line at the start of the buffer, with its line end; None when more of it must come.

    Raises UpstreamConfused for one that is too long or ends in a bare line feed.
    """
    end = buffer.find(b"\n", 0, LINE_LIMIT) + 1
    if not end:
        if len(buffer) >= LINE_LIMIT:
            raise UpstreamConfused("its answer to the login is too long")
        if buffer.startswith((b"\x80", b"\x81")):
            raise UpstreamConfused("it does not speak the text protocol")
        return None
    line = bytes(buffer[:end])
    if not line.endswith(b"\r\n"):
        raise UpstreamConfused("its answer to the login is no line of the text protocol")
    del buffer[:end]
    return line
