"""Unknown users (cases 33, 38): SCRAM shows them a salt that stays the same, and everything else that others get."""

import re
import secrets
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from mcproxy.auth.users import format_line
from mcproxy.auth.verifiers import HASHES, make_verifier
from tests.integration.conftest import StartProxy
from tests.integration.test_login import new_source
from tests.support.configuration import BEHIND, ITERATIONS
from tests.support.memcached import Memcached
from tests.support.packets import AUTH_CONTINUE, AUTH_ERROR, STEP, sasl
from tests.support.proxy import Proxy
from tests.support.workers import worker_processes

FIRST = re.compile(rb"r=([^,]+),s=([^,]+),i=([0-9]+)")
NAMES = ("sammy", "nobody-knows")


def write_users(path: Path) -> None:
    """One user with a verifier for each mechanism."""
    path.touch(mode=0o600)
    verifiers = (make_verifier("correct horse", ITERATIONS, mechanism=mechanism) for mechanism in HASHES)
    path.write_text("".join(format_line("sammy", verifier) + "\n" for verifier in verifiers))


def start(start_proxy: StartProxy, memcached: Memcached, users: Path, workers: int = 1) -> Proxy:
    listener = {"bind": ["127.0.0.1:0"], **BEHIND, "authentication": ["sasl"], "mechanisms": list(HASHES)}
    return start_proxy(
        memcached.address,
        listeners={"plain": listener, "tls": None, "socket": None},
        users_file=str(users),
        workers=workers,
    )


def shown(program: Proxy, mechanism: str, name: str) -> tuple[bytes, bytes, int]:
    """Salt, iterations, and the length of the nonce. What follows a wrong proof is always the same, too."""
    with program.connect(source=new_source()) as connection:
        first = f"n,,n={name},r={secrets.token_urlsafe(18)}".encode()
        answer = connection.ask(sasl(mechanism.encode(), first))
        assert answer.status == AUTH_CONTINUE, str(connection)
        found = FIRST.fullmatch(answer.value)
        assert found, answer
        nonce, salt, iterations = found.groups()
        final = b"c=biws,r=%s,p=%s" % (nonce, b64encode(secrets.token_bytes(_length(mechanism))))
        answer = connection.ask(sasl(mechanism.encode(), final, STEP))
        assert answer.shape == (AUTH_ERROR, b"Auth failure."), str(connection)
        return b64decode(salt), iterations, len(nonce)


def _length(mechanism: str) -> int:
    return {"SCRAM-SHA-256": 32, "SCRAM-SHA-512": 64, "SCRAM-SHA-1": 20}[mechanism]


@pytest.mark.parametrize("mechanism", HASHES)
def test_nothing_tells_known_from_unknown(
    start_proxy: StartProxy, memcached: Memcached, tmp_path: Path, mechanism: str
) -> None:
    write_users(tmp_path / "users")
    program = start(start_proxy, memcached, tmp_path / "users")
    seen = {name: {shown(program, mechanism, name) for _ in range(4)} for name in NAMES}
    salts = {}
    for name, answers in seen.items():
        assert len(answers) == 1, f"{name} is not shown the same each time: {answers}"
        salts[name] = answers.pop()
    known, unknown = salts.values()
    assert (len(known[0]), *known[1:]) == (len(unknown[0]), *unknown[1:])
    assert known[0] != unknown[0]


def test_a_stand_in_is_the_same_after_a_restart_and_in_every_worker(
    start_proxy: StartProxy, memcached: Memcached, tmp_path: Path
) -> None:
    write_users(tmp_path / "users")
    first = start(start_proxy, memcached, tmp_path / "users")
    before = {name: shown(first, "SCRAM-SHA-256", name) for name in NAMES}
    first.assert_good_end()
    workers = start(start_proxy, memcached, tmp_path / "users", workers=2)
    served = dict.fromkeys(worker_processes(workers), 0)
    assert len(served) == 2
    for name, expected in before.items():
        # The kernel spreads connections by their ports: forty miss a worker once in 2**39.
        for _ in range(40):
            assert shown(workers, "SCRAM-SHA-256", name) == expected
    for record in workers.events("login_failed"):
        served[record["worker"]] += 1
    assert all(served.values()), "each worker was asked"


def test_another_installation_shows_another_salt(start_proxy: StartProxy, memcached: Memcached, tmp_path: Path) -> None:
    """Or the stand-ins of one were known from the other."""
    salts = set()
    for number in range(2):
        directory = tmp_path / str(number)
        directory.mkdir()
        write_users(directory / "users")
        program = start(start_proxy, memcached, directory / "users")
        salts.add(shown(program, "SCRAM-SHA-256", "nobody-knows")[0])
    assert len(salts) == 2
