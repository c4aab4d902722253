"""What a handshake ends in, for cases that a real OpenSSL doesn't bring about by itself."""

import socket
import ssl
from functools import partial
from pathlib import Path

import pytest
import trio

from mcproxy.config.schema import ListenerTls
from mcproxy.relay.secured import Secured
from mcproxy.server import tls
from tests.support.certificates import Certificates


async def shake_hands(
    server: ssl.SSLContext, client: ssl.SSLContext, session: ssl.SSLSession | None
) -> tuple[Secured | ssl.SSLError, ssl.SSLSession | None]:
    """Both ends of a connection of TLS 1.2; the client is in a thread."""
    mine, theirs = socket.socketpair()
    mine.settimeout(5)
    theirs.setblocking(False)
    made: list[Secured | ssl.SSLError] = []
    sessions = []

    def connect() -> None:
        with mine, client.wrap_socket(mine, server_hostname="localhost", session=session) as connection:
            sessions.append(connection.session)

    async def accept() -> None:
        try:
            made.append(await tls.handshake(theirs, server))
        except ssl.SSLError as error:
            made.append(error)

    with theirs:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            nursery.start_soon(trio.to_thread.run_sync, connect)
        for secured in made:
            if isinstance(secured, Secured):
                secured.goodbye()
    return made[0], sessions[0]


@pytest.mark.parametrize("asked", ["required", "optional", None])
async def test_a_resumed_session_is_no_way_in_where_certificates_are_asked_for(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, asked: str | None
) -> None:
    """Where OpenSSL could not be told to keep none (openssl.py)."""
    monkeypatch.setattr(tls, "keep_no_sessions", lambda context: False)
    settings = ListenerTls(
        certificate=certificates.server_certificate,
        key=certificates.server_key,
        client_ca=certificates.authority if asked else None,
        client_certificate=asked or "required",
    )
    server = tls.server_context(settings)
    client = certificates.client_context(with_certificate=True)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    first, session = await shake_hands(server, client, None)
    assert isinstance(first, Secured)
    second, _ = await shake_hands(server, client, session)
    if asked:
        assert isinstance(second, ssl.SSLCertVerificationError)
        assert second.verify_message.endswith("whose session was resumed")
    else:
        assert isinstance(second, Secured)
        assert second.tls.session_reused, "nothing was resumed, so this test shows nothing"


async def test_a_handshake_has_so_many_bytes(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL ends those that are too long by itself; this holds whatever it lets through."""
    settings = ListenerTls(certificate=certificates.server_certificate, key=certificates.server_key)
    server, client = tls.server_context(settings), certificates.client_context()
    monkeypatch.setattr(tls, "HANDSHAKE_BYTES", 300)
    client.check_hostname = False
    mine, theirs = socket.socketpair()
    theirs.setblocking(False)
    with mine, theirs:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = client.wrap_bio(incoming, outgoing)
        with pytest.raises(ssl.SSLWantReadError):
            hello.do_handshake()
        mine.sendall(outgoing.read())
        with pytest.raises(ssl.SSLError) as raised:
            await tls.handshake(theirs, server)
        assert raised.value.reason == "HANDSHAKE_TOO_LONG"


def test_lists_of_revoked_certificates_bring_no_authorities(certificates: Certificates) -> None:
    make = partial(
        ListenerTls,
        certificate=certificates.server_certificate,
        key=certificates.server_key,
        client_ca=certificates.authority,
    )
    wrong: list[Path] = [certificates.authority, certificates.client_certificate]
    for crl in wrong:
        with pytest.raises(OSError, match="does not hold revocation lists, and those alone"):
            tls.server_context(make(crl=crl))
    context = tls.server_context(make(crl=certificates.revocation_list("none-revoked")))
    assert context.cert_store_stats() == {"x509": 1, "crl": 1, "x509_ca": 1}
    assert context.verify_flags & ssl.VERIFY_CRL_CHECK_CHAIN == ssl.VERIFY_CRL_CHECK_CHAIN
