#!/usr/bin/env python3
"""Fuzzes wire.binary: streams of packets."""

import sys

import atheris

with atheris.instrument_imports(include=["mcproxy.wire"]):
    from fuzz.coverage.conversation import Principal, hold
    from mcproxy.wire.binary import BinaryParser
    from mcproxy.wire.pipelining import OneBinaryCommand
    from tests.unit.wire.granting import binary, binary_rules

PRINCIPALS = [
    Principal(binary()),
    Principal(binary(("read write touch counter delete", ("app:*",))), b"app:"),
    Principal(binary(mechanisms=b"PLAIN")),
    Principal(lambda sink: OneBinaryCommand(BinaryParser(binary_rules(), sink), sink), steady=False),
]


def test(data: bytes) -> None:
    """One input."""
    hold(PRINCIPALS, data)


if __name__ == "__main__":
    atheris.Setup(sys.argv, test)
    atheris.Fuzz()
