"""Reloads under load, every fifth one broken: no request is lost, no handshake fails, the old state serves after each
broken one.

Forty of them unless MCPROXY_RELOADS says otherwise, such as 200.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support.certificates import Certificates, Issued
from tests.support.configuration import BEHIND, GRANTS, PASSWORDS
from tests.support.proxy import Proxy, token
from tests.support.reloading import Reloads, replace, users_text
from tests.support.steady import SteadyClients
from tests.support.tap import Tap

RELOADS = int(os.environ.get("MCPROXY_RELOADS", "40"))


class Files:
    """What the program reads, and what becomes of it."""

    def __init__(self, program: Proxy, pairs: list[Issued]) -> None:
        self.reloads = Reloads(program)
        self.program = program
        self.pairs = pairs
        self.pair = pairs[0]
        self.kept = self.reloads.users.read_text()
        self.newest = ""
        self._tls = self.reloads.settings["listeners"]["tls"]["tls"]

    def put(self, certificate: bytes, key: bytes) -> None:
        replace(Path(self._tls["certificate"]), certificate)
        replace(Path(self._tls["key"]), key)

    def mend(self) -> None:
        """All as it was loaded last."""
        self.put(self.pair.certificate.read_bytes(), self.pair.key.read_bytes())
        replace(self.reloads.users, self.kept + (users_text({self.newest: "x"}) if self.newest else ""))
        self.reloads.write()

    def change(self, number: int) -> None:
        """The next thing, rightly: certificates, users, what they may do, limits."""
        what = number % 4
        if what == 0:
            self.pair = self.pairs[number % len(self.pairs)]
        elif what == 1:
            self.newest = f"user{number}"
        elif what == 2:
            roles = ["everything"] if number % 8 == 2 else ["reader"]
            self.reloads.settings["grants"] = [*GRANTS[:2], {"user": "reader", "roles": roles}]
        else:
            self.reloads.settings["limits"]["idle_timeout"] = f"{600 + number}s"
        self.mend()

    def damage(self, number: int) -> None:
        """Something wrong, beside something right that must not be taken."""
        what = number // 5 % 4
        certificate, key = self.pair.certificate.read_bytes(), self.pair.key.read_bytes()
        if what == 0:
            self.put(certificate[: len(certificate) // 2], key)
        elif what == 1:
            self.put(certificate, self.program.certificates.client_key.read_bytes())
        elif what == 2:
            replace(self.reloads.users, f"{users_text({'intruder': 'x'})}eve:nothing\n")
        else:
            plain = {**self.reloads.settings["listeners"]["plain"], "allow": ["10.0.0.1/8"]}
            listeners = {**self.reloads.settings["listeners"], "plain": plain}
            self.reloads.write({**self.reloads.settings, "listeners": listeners})


def logs_in(program: Proxy, number: int, user: str) -> bool:
    # Each from another address, whose first failure it is.
    with program.connect(source=f"10.1.{number // 250}.{number % 250 + 1}") as connection:
        connection.send(token(user, "x"))
        return connection.line() == b"STORED\r\n"


def shown(program: Proxy) -> bytes:
    with program.connect("tls") as connection:
        return connection.socket.getpeercert(binary_form=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_nothing_is_lost(
    start_proxy: StartProxy, tap: Tap, certificates: Certificates, short_path: Callable[[], Path], workers: int
) -> None:
    directory = short_path()
    pairs = [Issued(certificates.server_certificate, certificates.server_key), certificates.server(f"next-{workers}")]
    shutil.copy(pairs[0].certificate, directory / "tls.crt")
    shutil.copy(pairs[0].key, directory / "tls.key")
    listener = {
        "bind": ["127.0.0.1:0"],
        **BEHIND,
        "authentication": ["sasl", "token"],
        "mechanisms": ["PLAIN"],
        "tls": {"certificate": f"{directory}/tls.crt", "key": f"{directory}/tls.key"},
    }
    program = start_proxy(tap.address, workers=workers, watch_files=False, listeners={"tls": listener})
    files = Files(program, pairs)
    with SteadyClients(program, "sammy", PASSWORDS["sammy"]).start(keeping=2, coming=2) as clients:
        for number in range(RELOADS):
            if number % 5 == 4:
                before = (shown(program), program.metric("mcproxy_generation"))
                files.damage(number)
                files.reloads.fails()
                assert (shown(program), program.metric("mcproxy_generation")) == before
                assert not logs_in(program, number, "intruder")
                files.mend()
            else:
                files.change(number)
                assert files.reloads.sighup()["event"] == "reloaded"
            assert shown(program) == _der(files.pair)
            assert not files.newest or logs_in(program, number, files.newest)
            assert not clients.failures
    assert not clients.failures
    assert clients.rounds > 10 * RELOADS, "hardly any load"
    assert clients.logins > 2 * RELOADS
    assert program.metric("mcproxy_reloads_total", result="failure") == RELOADS // 5


def _der(issued: Issued) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return issued.read().public_bytes(Encoding.DER)
