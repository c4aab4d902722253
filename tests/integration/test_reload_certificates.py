"""New certificates serve new connections; an authority that is taken out lets nobody in, nor on (cases 39 and 58)."""

import shutil
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scramp

from tests.integration.conftest import StartProxy
from tests.integration.test_real_logins import PLUS, end_point, scram_login
from tests.support.certificates import CLIENT_URI, Certificates
from tests.support.configuration import GRANTS, LOOPBACK, PASSWORDS
from tests.support.conversation import Connection, play
from tests.support.packets import OK
from tests.support.proxy import Proxy
from tests.support.reloading import Reloads, replace
from tests.support.tap import Tap
from tests.support.waiting import eventually

GRANT = {"certificate": CLIENT_URI, "as": "web", "roles": ["app"]}


@pytest.fixture(scope="module")
def other(short_path: Callable[[], Path]) -> Certificates:
    return Certificates(short_path(), "another authority")


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def program(
    request: pytest.FixtureRequest,
    start_proxy: StartProxy,
    tap: Tap,
    certificates: Certificates,
    short_path: Callable[[], Path],
) -> Proxy:
    directory = short_path()
    for name in ("server.crt", "server.key", "ca.crt"):
        shutil.copy(certificates.directory / name, directory / name)
    tls = {"certificate": f"{directory}/server.crt", "key": f"{directory}/server.key"}
    listener = {"bind": ["127.0.0.1:0"], "allow": LOOPBACK}
    listeners = {
        "bound": {**listener, "authentication": ["sasl"], "mechanisms": [PLUS, "SCRAM-SHA-256"], "tls": tls},
        "mtls": {**listener, "authentication": ["certificate"], "tls": tls | {"client_ca": f"{directory}/ca.crt"}},
    }
    changes = {"workers": request.param, "watch_files": False, "listeners": listeners, "grants": [*GRANTS, GRANT]}
    return start_proxy(tap.address, **changes)


@pytest.fixture
def reloads(program: Proxy) -> Iterator[Reloads]:
    """With the first files before and after."""
    reloads = Reloads(program)
    files = [Path(name) for name in reloads.settings["listeners"]["mtls"]["tls"].values()]
    kept = {path: path.read_bytes() for path in files}
    yield reloads
    program.close_connections()
    for path, content in kept.items():
        replace(path, content)
    Reloads(program).succeeds()


def serve(reloads: Reloads, certificates: Certificates) -> None:
    tls = reloads.settings["listeners"]["mtls"]["tls"]
    replace(Path(tls["certificate"]), certificates.server_certificate.read_bytes())
    replace(Path(tls["key"]), certificates.server_key.read_bytes())
    reloads.succeeds()


def known(program: Proxy) -> Connection:
    """A connection that has come in by its certificate, and asked for something."""
    connection = program.connect("mtls", certificate=True)
    play(connection, b"get app:none\r\n", b"END\r\n")
    return connection


def turned_away(program: Proxy, context: ssl.SSLContext) -> bool:
    raw = program.connect_raw("mtls")
    try:
        with context.wrap_socket(raw, server_hostname="localhost") as connection:
            connection.sendall(b"get app:none\r\n")
            return connection.recv(100) == b""
    except (ssl.SSLError, ConnectionError):
        return True
    finally:
        raw.close()


def test_a_new_certificate_is_for_new_connections(reloads: Reloads, other: Certificates) -> None:
    program = reloads.program
    connection = known(program)
    serve(reloads, other)
    play(connection, b"get app:none\r\n", b"END\r\n")
    context = other.client_context()
    context.load_cert_chain(program.certificates.client_certificate, program.certificates.client_key)
    assert not turned_away(program, context)


def test_a_login_is_bound_to_the_certificate_of_its_own_connection(reloads: Reloads, other: Certificates) -> None:
    program = reloads.program
    connection = program.connect("bound")
    shown = end_point(connection)
    serve(reloads, other)
    binding = ("tls-server-end-point", shown)
    client = scramp.ScramClient([PLUS], "sammy", PASSWORDS["sammy"], channel_binding=binding)
    assert scram_login(connection, client) == OK


def test_an_authority_that_is_taken_out_ends_sessions_and_lets_nobody_in(reloads: Reloads, other: Certificates) -> None:
    """Case 58: also not by a session of TLS that is resumed."""
    program = reloads.program
    context = program.certificates.client_context(with_certificate=True)
    before = context.wrap_socket(program.connect_raw("mtls"), server_hostname="localhost")
    with before:
        before.sendall(b"get app:none\r\n")
        assert before.recv(100) == b"END\r\n"
        tls_session = before.session
    working = known(program)
    logins = len(program.events("logged_in", by="certificate"))
    silent = program.connect("mtls", certificate=True)
    eventually("it is known", lambda: len(program.events("logged_in", by="certificate")) > logins)
    replace(Path(reloads.settings["listeners"]["mtls"]["tls"]["client_ca"]), other.authority.read_bytes())
    assert reloads.sighup()["connections_ended"] == 2
    assert working.rest() == b""
    assert silent.rest() == b""
    assert turned_away(program, context)
    raw = program.connect_raw("mtls")
    try:
        with context.wrap_socket(raw, server_hostname="localhost", session=tls_session) as resumed:
            resumed.sendall(b"get app:none\r\n")
            assert not resumed.session_reused
            assert resumed.recv(100) == b""
    except (ssl.SSLError, ConnectionError):
        pass
    finally:
        raw.close()


def test_a_handshake_that_began_before_is_held_to_the_new_authority(reloads: Reloads, other: Certificates) -> None:
    program = reloads.program
    context = program.certificates.client_context(with_certificate=True)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with program.connect_raw("mtls") as raw:
        # The server's part of the handshake is done; the client's certificate is still to come.
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        raw.sendall(outgoing.read())
        incoming.write(raw.recv(65536))
        replace(Path(reloads.settings["listeners"]["mtls"]["tls"]["client_ca"]), other.authority.read_bytes())
        reloads.sighup()
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                incoming.write(raw.recv(65536))
        tls.write(b"get app:none\r\n")
        raw.sendall(outgoing.read())
        assert answered(tls, incoming, raw) == b""


def answered(tls: ssl.SSLObject, incoming: ssl.MemoryBIO, raw: socket.socket) -> bytes:
    while data := raw.recv(65536):
        incoming.write(data)
        try:
            return tls.read(1000)
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError:
            return b""
    return b""


def test_a_revoked_certificate_ends_its_sessions(reloads: Reloads) -> None:
    program = reloads.program
    certificates = program.certificates
    revoked = certificates.client("revoked-later")
    context = revoked.show_to(certificates.client_context())
    good = known(program)
    bad = Connection(context.wrap_socket(program.connect_raw("mtls"), server_hostname="localhost"))
    with bad:
        play(bad, b"get app:none\r\n", b"END\r\n")
        reloads.settings["listeners"]["mtls"]["tls"]["crl"] = str(certificates.revocation_list("later", revoked))
        assert reloads.succeeds()["connections_ended"] == 1
        assert bad.rest() == b""
    play(good, b"get app:none\r\n", b"END\r\n")
    assert turned_away(program, context)


def test_an_older_version_of_tls_than_the_least_ends(reloads: Reloads) -> None:
    program = reloads.program

    def known_by(version: ssl.TLSVersion) -> Connection:
        context = program.certificates.client_context(with_certificate=True)
        context.minimum_version = context.maximum_version = version
        connection = Connection(context.wrap_socket(program.connect_raw("mtls"), server_hostname="localhost"))
        play(connection, b"get app:none\r\n", b"END\r\n")
        return connection

    with known_by(ssl.TLSVersion.TLSv1_2) as old, known_by(ssl.TLSVersion.TLSv1_3) as new:
        reloads.settings["listeners"]["mtls"]["tls"]["minimum_version"] = "1.3"
        assert reloads.succeeds()["connections_ended"] == 1
        assert old.rest() == b""
        play(new, b"get app:none\r\n", b"END\r\n")
