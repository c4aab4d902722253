#!/usr/bin/env python3
"""Fuzzes wire.text with lines that begin as the meta commands do, mixed with others by the corpus."""

import re
import sys

import atheris

with atheris.instrument_imports(include=["mcproxy.wire"]):
    from fuzz.coverage.conversation import HEADER_LENGTH, hold
    from fuzz.coverage.text import PRINCIPALS

META = re.compile(rb"[ \r\n]*m[gsdaen]")


def test(data: bytes) -> None:
    """One input; those that begin differently are the text target's."""
    if META.match(data, HEADER_LENGTH):
        hold(PRINCIPALS, data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test)
    atheris.Fuzz()
