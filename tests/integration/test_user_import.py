"""From another program's users to logins: what `mcproxy user` writes, the real program takes."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mcproxy.files.last_used import read_last_used
from tests.support.certificates import Certificates
from tests.support.configuration import ITERATIONS, configuration
from tests.support.memcached import Memcached
from tests.support.packets import plain
from tests.support.proxy import Proxy, token

FAILURE = b"CLIENT_ERROR authentication failure\r\n"
STORED = b"STORED\r\n"

_sources = (f"10.8.0.{last}" for last in range(1, 255))


def mcproxy_user(users: Path, action: str, *arguments: str, password: str | None = None) -> str:
    """Run `mcproxy user ACTION ...` on this file; what it printed."""
    command = [sys.executable, "-m", "mcproxy", "user", action, *arguments, "--users-file", str(users)]
    if password is not None:
        command.append("--password-stdin")
    done = subprocess.run(command, input=password or "", capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


@pytest.fixture
def users(short_path: Callable[[], Path]) -> Path:
    return short_path() / "users"


@pytest.fixture
def serving(users: Path, memcached: Memcached, certificates: Certificates) -> Iterator[Callable[[], Proxy]]:
    """Starts the program once the users file is as it should be."""
    programs = []

    def start() -> Proxy:
        settings = configuration(users.parent, memcached.address, certificates)
        program = Proxy(users.parent, settings, certificates)
        programs.append(program)
        return program.start()

    yield start
    for program in programs:
        program.assert_good_end()


def logs_in(proxy: Proxy, user: str, password: str) -> tuple[bool, bool]:
    """By the token, and by PLAIN. From a new address: the program slows down those who have failed."""
    source = next(_sources)
    with proxy.connect(source=source) as connection:
        connection.send(token(user, password))
        answer = connection.line()
        assert answer in (STORED, FAILURE)
    with proxy.connect(source=source) as connection:
        return answer == STORED, connection.ask(plain(user, password)).status == 0


def test_sammy_of_a_sasldb2_logs_in_with_the_same_password(users: Path, serving: Callable[[], Proxy]) -> None:
    sasldb = users.with_name("sasldb2")
    cyrus = ["saslpasswd2", "-p", "-a", "memcached", "-c", "-f", str(sasldb), "sammy"]
    subprocess.run(cyrus, input=b"correct horse", check=True)
    printed = mcproxy_user(users, "import", "--from", "sasldb2", str(sasldb))
    assert printed == f"imported 1 user into {users}\n"
    proxy = serving()
    assert logs_in(proxy, "sammy", "correct horse") == (True, True)
    assert logs_in(proxy, "sammy", "correct hors") == (False, False)


def test_two_passwords_for_a_while(users: Path, serving: Callable[[], Proxy]) -> None:
    mcproxy_user(users, "add", "sammy", "--iterations", str(ITERATIONS), password="old")
    mcproxy_user(users, "passwd", "sammy", "--keep-old", password="new")
    proxy = serving()
    for password in ("new", "old"):
        assert logs_in(proxy, "sammy", password) == (True, True)
    assert logs_in(proxy, "sammy", "neither") == (False, False)
    used = "mcproxy_user_secret_last_used_timestamp_seconds"
    for secret in ("newer", "older"):
        assert proxy.metric(used, user="sammy", secret=secret) > 1.7e9
    assert proxy.stop() == 0
    assert read_last_used(users) is not None
    listed = mcproxy_user(users, "list")
    assert listed.count(" UTC\n") == 2, listed
