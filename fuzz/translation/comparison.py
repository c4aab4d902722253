"""Two streams of replies, held against each other line by line and value by value."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from mcproxy.wire.grammar import decode_key

_VALUE = re.compile(rb"VALUE (\S+) \d+ (\d+)(?: (\d+))?\r\n")
_META_VALUE = re.compile(rb"VA (\d+)([^\r\n]*)\r\n")
_LINE = re.compile(rb"[^\n]*\n")
_META_CAS = re.compile(rb"(?<= )c([1-9]\d*)(?=[ \r])")
_META = re.compile(rb"(?:HD|VA|NS|EX|NF|EN)[ \r]")


class Reply(NamedTuple):
    """A line with the value that it announces. `cas` is the unique that it told of `key`, "" if none or of none."""

    shown: bytes
    key: bytes = b""
    cas: bytes = b""


def replies(stream: bytes) -> Iterator[Reply]:
    """What a stream says, with every cas unique but 0 put as N."""
    position = 0
    while position < len(stream):
        match = _VALUE.match(stream, position)
        if match is not None:
            key, length, cas = match.groups()
            end = match.end() + int(length) + 2
            line = match[0] if cas is None else match[0][: match.start(3) - match.start()] + b"N\r\n"
            yield Reply(line + stream[match.end() : end], key, cas or b"")
            position = end
            continue
        match = _META_VALUE.match(stream, position)
        end = line_end = match.end() if match else stream.find(b"\n", position) + 1 or len(stream)
        if match is not None:
            end += int(match[1]) + 2
        line = stream[position:line_end]
        cas, key = b"", b""
        if _META.match(line):
            if (told := _META_CAS.search(line)) is not None:
                cas = told[1]
                if (named := re.search(rb" k(\S+)( b(?=[ \r]|$))?", line)) is not None:
                    key = (decode_key(named[1]) or b"") if named[2] else named[1]
            line = _META_CAS.sub(b"cN", line)
        yield Reply(line + stream[line_end:end], key, cas)
        position = end
