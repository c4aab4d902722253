"""libmemcached's own tests of the text protocol, which a memcached -S passes through a gateway alone."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.certificates import Certificates
from tests.support.gateway import PASSWORD, USER, gateway, sasl_login, secret_file
from tests.support.memcached import Memcached, with_sasl

QUIETLY = ("set", "flush", "add", "replace", "cas", "delete", "incr", "decr", "append", "prepend")
"""What it tests with noreply, too."""

TESTS = [
    *("ascii version", "ascii quit", "ascii verbosity", "ascii get", "ascii gets", "ascii mget"),
    *(f"ascii {verb}{noreply}" for verb in QUIETLY for noreply in ("", " noreply")),
    "ascii stat",
]
"""The names of those of the text protocol."""


@pytest.fixture(scope="module")
def memcached(short_path: Callable[[], Path]) -> Iterator[Memcached]:
    started = with_sasl(short_path(), {USER: PASSWORD})
    try:
        yield started.start()
    finally:
        started.kill()


@pytest.fixture(scope="module")
def port(short_path: Callable[[], Path], memcached: Memcached, certificates: Certificates) -> Iterator[int]:
    """Of the gateway, whose link stays through all that is tested."""
    directory = short_path()
    login = sasl_login("SCRAM-SHA-256", secret_file(directory))
    upstreams = {"sasl": {"address": memcached.address, "protocol": "binary", "login": login}}
    program = gateway(directory, certificates, upstreams)
    try:
        yield program.start().host_and_port("sasl-none")[1]
        assert program.events("upstream_link_lost") == [], str(program)
    finally:
        program.assert_good_end()


def memccapable(port: int, patience: int, *options: str) -> "subprocess.Popen[str]":
    """`patience` is how many seconds each answer may take."""
    command = ["memccapable", "-h", "127.0.0.1", "-p", str(port), "-t", str(patience), "-v", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_through_the_gateway_all_pass_and_without_it_none(memcached: Memcached, port: int) -> None:
    """All at the same time, since those without it wait in vain, each for its first answer."""
    with ExitStack() as ends:
        through = ends.enter_context(memccapable(port, 5, "-a"))
        past = {name: ends.enter_context(memccapable(memcached.port, 1, "-T", name)) for name in TESTS}
        printed, _ = through.communicate(timeout=60)
        assert sorted(re.findall(r"^(ascii .*?) *\[pass\]", printed, re.MULTILINE)) == sorted(TESTS), printed
        assert "All tests passed" in printed, printed
        assert through.returncode == 0, printed
        for name, process in past.items():
            printed, _ = process.communicate(timeout=60)
            # Some end by SIGPIPE and say nothing: memcached has closed before they have sent everything.
            assert "[pass]" not in printed, f"{name}: {printed}"
            assert process.returncode != 0, f"{name}: {printed}"
