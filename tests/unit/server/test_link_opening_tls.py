"""Opening a link over TLS: whoever can't prove to be upstream is told nothing."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from trio.testing import MockClock

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.config.schema import UpstreamTls
from mcproxy.relay.obstacle import (
    FULL,
    LOGIN_REFUSED,
    STRANGE,
    TLS_FAILED,
    TLS_SILENT,
    UNREACHABLE,
    UNTRUSTED,
    NotOpened,
    Obstacle,
)
from mcproxy.relay.secured import Secured
from mcproxy.server.link_opening import open_connection
from tests.support.certificates import HOUR, SERVER_NAMES, Certificates
from tests.unit.server.opening import (
    GREETED,
    TOO_MANY,
    VERSION,
    Answer,
    Says,
    close,
    fails,
    fails_in_time,
    reply,
    upstream,
)

PLAIN = Credentials("PLAIN", "gateway", "a-secret")


def over_tls(context: ssl.SSLContext, then: Answer) -> Answer:
    async def answer(stream: trio.SocketStream) -> None:
        secured = trio.SSLStream(stream, context, server_side=True)
        await secured.do_handshake()
        await then(secured)  # type: ignore[arg-type]

    return answer


def tls(certificates: Certificates, name: str = "localhost") -> UpstreamTls:
    return UpstreamTls.model_validate({"ca": str(certificates.authority), "server_name": name})


@pytest.fixture(scope="module")
def served(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_certificate, certificates.server_key)
    return context


async def test_over_tls(tmp_path: Path, certificates: Certificates, served: ssl.SSLContext) -> None:
    async with upstream(tmp_path, over_tls(served, Says(VERSION)), tls=tls(certificates)) as there:
        connection = await open_connection(there, "text")
        assert isinstance(connection, Secured)
        assert connection.certificate() is not None
        close(connection)


async def test_a_certificate_that_is_not_trusted(
    tmp_path: Path, certificates: Certificates, served: ssl.SSLContext
) -> None:
    """Nothing of ours, the login least of all, goes to whoever can't prove to be upstream."""
    reached: list[bytes] = []

    async def then(stream: trio.SocketStream) -> None:
        reached.append(await stream.receive_some(100))

    strangers = Certificates(tmp_path / "strangers", "strangers")
    for number, wrong in enumerate((tls(strangers), tls(certificates, "elsewhere.example"), tls(certificates, "::2"))):
        directory = tmp_path / str(number)
        directory.mkdir()
        async with upstream(directory, over_tls(served, then), tls=wrong, login=PLAIN) as there:
            with pytest.raises(NotOpened) as raised:
                await open_connection(there, "binary")
            assert raised.value.obstacle is UNTRUSTED
            assert str(raised.value).startswith("its certificate is not trusted: ")
    assert not reached


ODD: dict[str, dict[str, Any]] = {
    "it has expired": {"begins": -48 * HOUR, "ends": -HOUR},
    "it is not valid yet": {"begins": HOUR},
    "it is for clients": {"purpose": ExtendedKeyUsageOID.CLIENT_AUTH},
    "it is for another name": {"names": [x509.DNSName("elsewhere.example")]},
    "its name is a common name": {"names": []},
}


@pytest.mark.parametrize("why", ODD)
async def test_a_certificate_of_the_right_authority(tmp_path: Path, certificates: Certificates, why: str) -> None:
    """And yet one by which upstream is not known."""
    how = {"names": SERVER_NAMES, "purpose": ExtendedKeyUsageOID.SERVER_AUTH, **ODD[why]}
    issued = certificates.issue("localhost", how.pop("names"), how.pop("purpose"), **how)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    async with upstream(tmp_path, over_tls(context, Says(VERSION)), tls=tls(certificates)) as there:
        problem = await fails(there)
    assert problem.obstacle is UNTRUSTED, why


@pytest.mark.parametrize(
    ("mechanism", "answers", "obstacle"),
    [
        ("PLAIN", [reply(0x21, b"Authenticated"), GREETED], None),
        ("SCRAM-SHA-256-PLUS", [], LOGIN_REFUSED),
    ],
)
async def test_a_certificate_that_only_openssl_can_read(
    tmp_path: Path, certificates: Certificates, mechanism: str, answers: list[bytes], obstacle: Obstacle | None
) -> None:
    """It is trusted as any other. Nothing can be bound to it."""
    issued = certificates.unreadable("only_openssl")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    login = Credentials(mechanism, "gateway", "a-secret")
    async with upstream(tmp_path, over_tls(context, Says(*answers)), tls=tls(certificates), login=login) as there:
        if obstacle is None:
            close(await open_connection(there, "binary"))
        else:
            assert (await fails(there, "binary")).obstacle is obstacle


@pytest.mark.parametrize(
    ("answer", "obstacle"),
    [
        (Says(b""), TLS_SILENT),
        (Says(b"\x16\x03\x03"), TLS_SILENT),
        (Says(b"", stays=False), TLS_FAILED),
        (Says(b"ERROR\r\n"), TLS_FAILED),
        (Says(TOO_MANY, stays=False), FULL),
    ],
)
async def test_a_handshake_that_goes_wrong(
    mock_clock: MockClock, tmp_path: Path, certificates: Certificates, answer: Says, obstacle: Obstacle
) -> None:
    async with upstream(tmp_path, answer, tls=tls(certificates)) as there:
        if obstacle is TLS_SILENT:
            problem = await fails_in_time(mock_clock, there, "text", answer)
        else:
            problem = await fails(there)
    assert problem.obstacle is obstacle


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_of_ours_is_wanted(
    tmp_path: Path, certificates: Certificates, version: ssl.TLSVersion
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_certificate, certificates.server_key)
    context.load_verify_locations(certificates.authority)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    async with upstream(tmp_path, over_tls(context, Says(VERSION)), tls=tls(certificates)) as there:
        with pytest.raises(NotOpened) as raised:
            await open_connection(there, "text")
        # With TLS 1.3 upstream may close before it has told why.
        expected = [TLS_FAILED] if version is ssl.TLSVersion.TLSv1_2 else [TLS_FAILED, STRANGE, UNREACHABLE]
        assert raised.value.obstacle in expected
        shown = tls(certificates).model_copy(
            update={"certificate": certificates.client_certificate, "key": certificates.client_key}
        )
    other = tmp_path / "other"
    other.mkdir()
    async with upstream(other, over_tls(context, Says(VERSION)), tls=shown) as there:
        close(await open_connection(there, "text"))
