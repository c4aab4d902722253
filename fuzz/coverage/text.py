#!/usr/bin/env python3
"""Fuzzes wire.text: streams of classic and administrative commands, and anything else."""

import sys

import atheris

with atheris.instrument_imports(include=["mcproxy.wire"]):
    from fuzz.coverage.conversation import Principal, hold
    from mcproxy.wire.pipelining import OneTextCommand
    from mcproxy.wire.text import TextParser
    from tests.unit.wire.granting import text, text_rules

PRINCIPALS = [
    Principal(text()),
    Principal(text(("read write touch counter delete", ("app:*",))), b"app:"),
    Principal(text(token=b"sammy secret")),
    Principal(text(digest_overlong_keys=True)),
    Principal(lambda sink: OneTextCommand(TextParser(text_rules(), sink), sink), steady=False),
]


def test(data: bytes) -> None:
    """One input."""
    hold(PRINCIPALS, data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test)
    atheris.Fuzz()
