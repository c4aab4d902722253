"""Certificates across a reload: who would not be let in any more ends, and resuming is no way around it (case 58)."""

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support.certificates import CLIENT_URI, HOUR, Certificates, Issued
from tests.support.configuration import GRANTS, LOOPBACK, server_tls
from tests.support.conversation import Connection, play
from tests.support.proxy import Proxy, token
from tests.support.reloading import Reloads, replace
from tests.support.tap import Tap


class Place:
    """A program whose listener `mtls` trusts two authorities, and the files that a test may change."""

    def __init__(self, directory: Path, start: Callable[..., Proxy], upstream: str, server: Certificates) -> None:
        self.one = Certificates(directory / "one", "authority one")
        self.two = Certificates(directory / "two", "authority two")
        self.server = server
        self.authorities = directory / "authorities.crt"
        self.crl = directory / "authorities.crl"
        self.client_of_one = self.one.client("web-of-one")
        self.client_of_two = self.two.client("web-of-two")
        self.reset()
        tls = server_tls(server, client_ca=str(self.authorities), crl=str(self.crl), client_certificate="optional")
        mtls = {"bind": ["127.0.0.1:0"], "allow": LOOPBACK, "tls": tls, "authentication": ["certificate", "token"]}
        self.program = start(
            upstream,
            listeners={"mtls": mtls},
            grants=[*GRANTS, {"certificate": CLIENT_URI, "as": "web", "roles": ["app"]}],
            watch_files=False,
        )
        self.reloads = Reloads(self.program)

    def reset(self) -> None:
        self.trust(self.one, self.two)
        self.revoke()

    def trust(self, *authorities: Certificates) -> None:
        replace(self.authorities, b"".join(one.authority.read_bytes() for one in authorities))

    def revoke(self, *revoked: Issued, ends: int = 48) -> None:
        """New lists of both authorities, that name these certificates of authority one."""
        lists = [self.one.revocation_list("list", *revoked, begins=min(ends - 1, -1) * HOUR, ends=ends * HOUR)]
        lists.append(self.two.revocation_list("list"))
        replace(self.crl, b"".join(path.read_bytes() for path in lists))

    def context(self, issued: Issued | None) -> ssl.SSLContext:
        context = self.server.client_context()
        return issued.show_to(context) if issued else context

    def connect(self, issued: Issued | None, *, session: ssl.SSLSession | None = None, **context: object) -> Connection:
        made = self.context(issued)
        raw = self.program.connect_raw("mtls")
        return Connection(made.wrap_socket(raw, server_hostname="localhost", session=session))

    def logged_in(self, issued: Issued | None, user: str | None = None) -> Connection:
        connection = self.connect(issued)
        if user is not None:
            play(connection, token(user), b"STORED\r\n")
        play(connection, b"get app:none\r\n", b"END\r\n")
        return connection

    def refused(self, issued: Issued) -> None:
        with pytest.raises((ssl.SSLError, ConnectionError)), self.connect(issued) as connection:
            connection.send(b"get app:none\r\n")
            assert not connection.socket.recv(100)
            raise ConnectionError


@pytest.fixture(scope="module")
def running(start_proxy: StartProxy, tap: Tap, certificates: Certificates, short_path: Callable[[], Path]) -> Place:
    return Place(short_path(), start_proxy, tap.address, certificates)


@pytest.fixture
def place(running: Place) -> Iterator[Place]:
    yield running
    running.program.close_connections()
    running.reset()
    running.reloads.succeeds()


def goes_on(connection: Connection) -> None:
    play(connection, b"get app:none\r\n", b"END\r\n")
    connection.close()


def ended(connection: Connection) -> None:
    assert connection.rest() == b"", connection
    connection.close()


def reason(place: Place, record: dict[str, object], count: int) -> str:
    assert record["connections_ended"] == count, record
    return str(place.program.events("session_ended_by_reload")[-1]["reason"])


def test_a_revoked_certificates_sessions_end(place: Place) -> None:
    """Also one that logged in as a user: this client would not get as far as that any more."""
    sessions = [place.logged_in(place.client_of_one), place.logged_in(place.client_of_one, "sammy")]
    others = [place.logged_in(place.client_of_two), place.logged_in(None, "sammy")]
    place.revoke(place.client_of_one)
    assert reason(place, place.reloads.sighup(), 2) == "its certificate is revoked"
    for connection in sessions:
        ended(connection)
    for connection in others:
        goes_on(connection)
    place.refused(place.client_of_one)
    goes_on(place.logged_in(place.client_of_two))


def test_sessions_of_an_authority_that_is_taken_out_end(place: Place) -> None:
    session, other = place.logged_in(place.client_of_one), place.logged_in(place.client_of_two)
    place.trust(place.two)
    replace(place.crl, place.two.revocation_list("list").read_bytes())
    why = reason(place, place.reloads.sighup(), 1)
    assert why == "the authority of its certificate is not trusted any more"
    ended(session)
    goes_on(other)
    place.refused(place.client_of_one)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_is_not_resumed_past_its_authoritys_end(place: Place, version: ssl.TLSVersion) -> None:
    """Case 58."""
    context = place.context(place.client_of_one)
    context.minimum_version = context.maximum_version = version
    first = context.wrap_socket(place.program.connect_raw("mtls"), server_hostname="localhost")
    with Connection(first) as connection:
        play(connection, b"get app:none\r\n", b"END\r\n")
        session = first.session
        first.unwrap()  # said goodbye: what OpenSSL would keep a session for
    place.trust(place.two)
    replace(place.crl, place.two.revocation_list("list").read_bytes())
    place.reloads.succeeds()
    raw = place.program.connect_raw("mtls")
    with raw, pytest.raises((ssl.SSLError, ConnectionError)):
        again = context.wrap_socket(raw, server_hostname="localhost", session=session)
        with again:
            assert not again.session_reused
            again.sendall(b"get app:none\r\n")
            assert not again.recv(100)
            raise ConnectionError


def test_a_list_that_has_become_stale_ends_nobody_and_lets_nobody_in(place: Place) -> None:
    session = place.logged_in(place.client_of_one)
    place.revoke(ends=-1)
    assert place.reloads.sighup()["connections_ended"] == 0
    goes_on(session)
    place.refused(place.client_of_one)
    notes = [record["note"] for record in place.program.events("configuration_note")]
    assert any("the list of CN=authority one is stale since" in note for note in notes)


def test_a_broken_list_changes_nothing(place: Place) -> None:
    session = place.logged_in(place.client_of_one)
    whole = place.crl.read_bytes()
    for content, problem in (
        (whole[: len(whole) // 3], "is cut short: a PEM block is not whole"),
        (place.one.authority.read_bytes(), "holds no revocation list: it holds CERTIFICATE"),
        (whole + place.one.authority.read_bytes(), "holds a certificate, which would be trusted"),
        (place.server.revocation_list("foreign").read_bytes(), "which is not in"),
    ):
        replace(place.crl, content)
        assert problem in place.reloads.fails()
    goes_on(session)
    goes_on(place.logged_in(place.client_of_one))
