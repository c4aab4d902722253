"""libmemcached's memccapable: a program that asks a server for everything that a protocol has."""

import re
import subprocess

TESTS = 27
"""Of the text protocol, and as many of the binary one; a memcached of its own passes all of them."""


def assert_capable(address: tuple[str, int], protocol: str) -> None:
    """Run its tests of one protocol, "-a" (text) or "-b". Raises AssertionError with what it printed if one fails."""
    host, port = address
    result = subprocess.run(
        ["memccapable", "-h", host, "-p", str(port), "-t", "5", "-v", protocol],
        capture_output=True,
        text=True,
        timeout=60,
    )
    printed = result.stdout + result.stderr
    assert len(re.findall(r"\[pass\]", printed)) == TESTS, printed
    assert "FAIL" not in printed.upper().replace("[PASS]", ""), printed
    assert "All tests passed" in printed, printed
    assert result.returncode == 0, printed
