"""What is asked of OpenSSL past Python, as clients find it, and what stands in where it can't be asked."""

import _ctypes
import contextlib
import ctypes
import ssl
import sys
from collections.abc import Iterator

import pytest

from mcproxy.server import openssl
from mcproxy.server.channel_binding import served_certificate
from tests.support.certificates import Certificates

LIBRARY = openssl._openssl()


@pytest.fixture
def context(certificates: Certificates) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificates.server_certificate, certificates.server_key)
    return made


def flights(context: ssl.SSLContext, certificates: Certificates, group: str | None) -> int:
    """How often a client of this one group (None: of its library's default) has to send. Raises ssl.SSLError."""
    client_context = certificates.client_context()
    if group is not None:
        # Debian's Python 3.11.2 has neither X25519 nor X448 in set_ecdh_curve.
        pointer = ctypes.c_void_p.from_address(id(client_context) + object.__basicsize__).value
        assert LIBRARY.SSL_CTX_ctrl(pointer, openssl._SET_GROUPS_LIST, 0, group.encode()) == 1
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname="localhost")
    for count in range(1, 5):
        with contextlib.suppress(ssl.SSLWantReadError):
            client.do_handshake()
            return count
        with contextlib.suppress(ssl.SSLWantReadError):
            server.do_handshake()
    raise AssertionError("no end")


TAKEN = ("X25519", "P-256", "P-384")
REFUSED = ("X448", "P-521")


def test_there_are_three_groups_and_no_other(context: ssl.SSLContext, certificates: Certificates) -> None:
    for group in REFUSED:
        assert flights(context, certificates, group) == 2, "OpenSSL's own default has it"
    assert openssl.restrict_groups(context) == openssl.GROUPS
    for group in TAKEN:
        assert flights(context, certificates, group) == 2, group
    assert flights(context, certificates, None) == 2, "ordinary clients are not asked for another group"
    for group in REFUSED:
        with pytest.raises(ssl.SSLError):
            flights(context, certificates, group)


@pytest.fixture(params=["version", "implementation", "ctypes", "library", "options", "tickets", "groups"])
def unknown(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, context: ssl.SSLContext) -> Iterator[str]:
    """A Python or an OpenSSL that is not what openssl.py knows."""

    class Other:
        def SSL_CTX_get_options(self, pointer: int) -> int:
            return int(context.options) ^ (request.param == "options")

        def SSL_CTX_get_num_tickets(self, pointer: int) -> int:
            return context.num_tickets + (request.param == "tickets")

        def SSL_CTX_ctrl(self, pointer: int, command: int, *arguments: object) -> int:
            assert request.param == "groups", "the guards have let it through"
            return 0 if command == 92 else 2

    match request.param:
        case "version":
            monkeypatch.setattr(openssl, "_KNOWN", ())
        case "implementation":
            monkeypatch.setattr(openssl.sys.implementation, "name", "pypy")
        case "ctypes":
            monkeypatch.setitem(sys.modules, "ctypes", None)
        case "library":
            monkeypatch.setattr(openssl._ssl, "__file__", "/nowhere/_ssl.so")
        case _:
            monkeypatch.setattr(openssl, "_openssl", Other)
    yield request.param
    monkeypatch.undo()


def test_where_anything_is_not_as_it_is_known_there_is_one_group(
    unknown: str, context: ssl.SSLContext, certificates: Certificates
) -> None:
    assert openssl.restrict_groups(context) == openssl.ONLY_GROUP
    assert flights(context, certificates, "P-256") == 2
    assert flights(context, certificates, None) == 3, "an ordinary client is asked for another group"
    assert served_certificate(context)
    assert not openssl.keep_no_sessions(context)
    for group in ("X25519", "P-384", *REFUSED):
        with pytest.raises(ssl.SSLError):
            flights(context, certificates, group)


def test_a_library_without_its_functions_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where OpenSSL is linked in, and its names are hidden."""
    monkeypatch.setattr(openssl._ssl, "__file__", _ctypes.__file__)
    assert openssl._openssl() is None


def test_python_itself_may_know_how() -> None:
    class Later:
        named = ""

        def set_groups(self, named: str) -> None:
            self.named = named

    context = Later()
    assert openssl.restrict_groups(context) == openssl.GROUPS  # type: ignore[arg-type]
    assert context.named == openssl.GROUPS


def resumed(context: ssl.SSLContext, certificates: Certificates) -> bool:
    """Whether a second connection of TLS 1.2, in its first one's life, does without a handshake of its own."""
    client_context = certificates.client_context()
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    ends = []
    for _ in range(2):
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.wrap_bio(to_server, to_client, server_side=True)
        session = ends[-1][0].session if ends else None
        client = client_context.wrap_bio(to_client, to_server, server_hostname="localhost", session=session)
        for end in (client, server, client, server, client):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
        ends.append((client, server))
    return bool(ends[-1][1].session_reused)


def test_sessions_are_not_kept(context: ssl.SSLContext, certificates: Certificates) -> None:
    context.options |= ssl.OP_NO_TICKET
    assert resumed(context, certificates), "OpenSSL's own default keeps them"
    assert openssl.keep_no_sessions(context)
    assert not resumed(context, certificates)
