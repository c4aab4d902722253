"""The program in front of a real memcached, with the recording tap between them.

Each case ends the same way, and the fixtures see to it: the next request on a fresh connection is answered
correctly, and upstream has seen only canonical bytes.
"""

import itertools
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Certificates
from tests.support.configuration import configuration
from tests.support.fake_upstream import FakeUpstream, honest_script
from tests.support.memcached import Memcached
from tests.support.proxy import Proxy
from tests.support.serving import serves
from tests.support.tap import Tap

_numbers = itertools.count()


@pytest.fixture(scope="session")
def short_path() -> Iterator[Callable[[], Path]]:
    """Makes directories whose names leave room for a socket's: a unix socket's path has 107 bytes at most.

    And 25 at most where memcached listens: of a longer one `stats conns` of 1.6.18 prints what lies on its stack behind
    it, a line end among it now and then.
    """
    with tempfile.TemporaryDirectory(prefix="mc-") as directory:

        def make() -> Path:
            path = Path(directory, str(next(_numbers)))
            path.mkdir()
            return path

        yield make


@pytest.fixture(scope="module")
def memcached(short_path: Callable[[], Path]) -> Iterator[Memcached]:
    with Memcached(short_path()) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def tap(short_path: Callable[[], Path], memcached: Memcached) -> Iterator[Tap]:
    with Tap(short_path(), memcached) as recorder:
        yield recorder
    recorder.recording.check()


StartProxy = Callable[..., Proxy]


@pytest.fixture(scope="module")
def start_proxy(short_path: Callable[[], Path], certificates: Certificates, tap: Tap) -> Iterator[StartProxy]:
    """Starts further programs: `start_proxy(upstream_address, **changes)` as in configuration.py.

    All of them are stopped at the end of the module, before the tap is, and each must end well.
    """
    assert tap.recording.connections == 0
    with ExitStack() as ends:

        def start(upstream_address: str, **changes: Any) -> Proxy:
            directory = short_path()
            program = Proxy(
                directory, configuration(directory, upstream_address, certificates, **changes), certificates
            )
            try:
                program.start()
            except BaseException:
                program.kill()
                raise
            ends.callback(program.assert_good_end)
            return program

        yield start


@pytest.fixture(scope="module")
def running_proxy(start_proxy: StartProxy, tap: Tap) -> Proxy:
    """The module's program, with the default configuration. Tests use `proxy`."""
    return start_proxy(tap.address)


@pytest.fixture
def proxy(running_proxy: Proxy, tap: Tap) -> Iterator[Proxy]:
    """The module's program for one test, with the end that every case has."""
    tap.recording.forget()
    yield running_proxy
    ends_well(running_proxy, tap)


def ends_well(program: Proxy, tap: Tap) -> None:
    """The next request on a fresh connection is answered correctly, and upstream has seen only canonical bytes."""
    program.close_connections()
    value = b"fresh %d" % next(_numbers)
    with program.logged_in("sammy") as connection:
        connection.send(b"set app:fresh 0 0 %d\r\n%s\r\nget app:fresh\r\n" % (len(value), value))
        expected = b"STORED\r\nVALUE app:fresh 0 %d\r\n%s\r\nEND\r\n" % (len(value), value)
        answer = connection.receive(len(expected))
        assert answer == expected, f"{answer!r}\n{connection}\n{program}"
        connection.in_step()
    tap.recording.check()


UPSTREAM_TIMEOUT = 0.4
"""Seconds that the program behind a faulty upstream waits for a reply."""


@pytest.fixture(scope="module")
def faulty() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream
    upstream.recording.check()


@pytest.fixture(scope="module")
def started(start_proxy: StartProxy, faulty: FakeUpstream) -> Proxy:
    """One link a protocol, so that all clients share it."""
    return start_proxy(faulty.address, upstream={"links": 1, "timeout": f"{UPSTREAM_TIMEOUT}s"})


@pytest.fixture
def behind(started: Proxy, faulty: FakeUpstream) -> Iterator[Proxy]:
    """The program in front of the faulty upstream, which is honest at the beginning and again at the end."""
    faulty.script = honest_script
    faulty.store.clear()
    faulty.store[b"app:a"] = b"value of a"
    faulty.store[b"app:b"] = b"value of b"
    faulty.recording.forget()
    serves(started)
    yield started
    faulty.script = honest_script
    started.close_connections()
    serves(started)
    faulty.recording.check()
