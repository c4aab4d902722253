#!/usr/bin/env python3
"""Fuzzes what requests make of upstream's replies."""

import sys

import atheris

with atheris.instrument_imports(include=["mcproxy.wire"]):
    from fuzz.coverage.reading import read

if __name__ == "__main__":
    atheris.Setup(sys.argv, read)
    atheris.Fuzz()
