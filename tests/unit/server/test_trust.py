"""What a session's certificate rested on, and whether it still would by other files."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from mcproxy.config.schema import ListenerTls
from mcproxy.relay.secured import Secured
from mcproxy.server.tls import server_context
from mcproxy.server.trust import Trust, TrustMaterial, trust_material, trust_objection, trust_of
from tests.support.certificates import HOUR, Certificates, Issued
from tests.unit.relay.harness import tls_pair

NOT_TRUSTED = "the authority of its certificate is not trusted any more"


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("other"), "another authority")


def tls(certificates: Certificates, **more: Any) -> ListenerTls:
    how: dict[str, Any] = {"client_ca": certificates.authority} | more
    return ListenerTls(certificate=certificates.server_certificate, key=certificates.server_key, **how)


def connected(certificates: Certificates, issued: Issued | None, **more: Any) -> Iterator[Secured]:
    context = certificates.client_context()
    mine, theirs = tls_pair(server_context(tls(certificates, **more)), issued.show_to(context) if issued else context)
    with mine, theirs.socket:
        yield theirs


@pytest.fixture
def issued(certificates: Certificates) -> Issued:
    return certificates.client("trusted", ends=5 * HOUR)


@pytest.fixture
def secured(certificates: Certificates, issued: Issued) -> Iterator[Secured]:
    yield from connected(certificates, issued)


@pytest.fixture
def trust(secured: Secured) -> Trust:
    found = trust_of(secured)
    assert found is not None
    return found


def objection(trust: Trust | None, settings: ListenerTls, **later: float) -> str | None:
    return trust_objection(trust, trust_material(settings), datetime.now(UTC) + timedelta(**later))


def test_nothing_has_changed(certificates: Certificates, issued: Issued, trust: Trust) -> None:
    assert trust.chain == (("cn=test authority", issued.read().serial_number),)
    assert trust.expires == issued.read().not_valid_after_utc
    assert objection(trust, tls(certificates)) is None
    assert objection(trust, tls(certificates, crl=certificates.revocation_list("empty"))) is None


def test_it_is_revoked(certificates: Certificates, issued: Issued, trust: Trust) -> None:
    another = certificates.client("another")
    assert objection(trust, tls(certificates, crl=certificates.revocation_list("a", another))) is None
    lists = certificates.directory / "lists.crl"
    parts = [certificates.revocation_list("b", another), certificates.revocation_list("c", another, issued)]
    lists.write_bytes(b"".join(path.read_bytes() for path in parts))
    assert objection(trust, tls(certificates, crl=lists)) == "its certificate is revoked"


def test_a_serial_number_of_another_authority_is_another(
    certificates: Certificates, other: Certificates, issued: Issued, trust: Trust
) -> None:
    assert objection(trust, tls(certificates, crl=other.revocation_list("theirs", issued))) is None


def test_its_authority_is_gone(certificates: Certificates, other: Certificates, tmp_path: Path, trust: Trust) -> None:
    assert objection(trust, tls(certificates, client_ca=other.authority)) == NOT_TRUSTED
    both = tmp_path / "both.crt"
    both.write_bytes(other.authority.read_bytes() + b"\nwords\n" + certificates.authority.read_bytes())
    assert objection(trust, tls(certificates, client_ca=both)) is None


def test_another_authority_of_the_same_name_is_another(
    certificates: Certificates, tmp_path: Path, trust: Trust
) -> None:
    namesake = Certificates(tmp_path)
    assert objection(trust, tls(certificates, client_ca=namesake.authority)) == NOT_TRUSTED


def test_it_has_expired(certificates: Certificates, trust: Trust) -> None:
    assert objection(trust, tls(certificates), hours=4) is None
    assert objection(trust, tls(certificates), hours=6) == "its certificate has expired"


def test_a_list_that_is_stale_ends_no_session(certificates: Certificates, trust: Trust) -> None:
    stale = certificates.revocation_list("old", begins=-2 * HOUR, ends=-HOUR)
    assert objection(trust, tls(certificates, crl=stale)) is None


def test_without_a_certificate(certificates: Certificates) -> None:
    for secured in connected(certificates, None, client_certificate="optional"):
        assert trust_of(secured) is None
    assert objection(None, tls(certificates, client_certificate="optional")) is None
    assert objection(None, tls(certificates)) == "a client certificate is required now"
    assert objection(None, tls(certificates, client_ca=None)) is None


def test_a_listener_that_asks_for_none_any_more_has_nothing_against_anybody(
    certificates: Certificates, trust: Trust
) -> None:
    """Who was let in as a certificate is judged by the grants."""
    assert objection(trust, tls(certificates, client_ca=None)) is None


def test_where_the_chain_can_not_be_told_nobody_comes_in(secured: Secured) -> None:
    """As on a Python whose ssl doesn't say."""

    class Silent:
        tls = object()

        def certificate(self) -> bytes | None:
            return secured.certificate()

    with pytest.raises(ssl.SSLCertVerificationError) as raised:
        trust_of(cast(Secured, Silent()))
    assert raised.value.verify_message == "its chain can't be read without doubt"


def test_a_later_pythons_own_way_to_tell(secured: Secured, trust: Trust) -> None:
    chain = [certificate.public_bytes(2) for certificate in secured.tls._sslobj.get_verified_chain()]  # type: ignore[attr-defined]

    class Told:
        def get_verified_chain(self) -> list[bytes]:
            return chain

    class Later:
        tls = Told()

        def certificate(self) -> bytes | None:
            return chain[0]

    assert trust_of(cast(Secured, Later())) == trust


def test_any_of_the_chain_counts() -> None:
    """An authority between that was revoked takes those below with it."""
    trust = Trust((("cn=between", 7), ("cn=root", 8)), b"root", datetime.now(UTC) + timedelta(hours=1))
    material = TrustMaterial(frozenset({b"root"}), {"cn=root": frozenset({8})}, True)
    assert trust_objection(trust, material, datetime.now(UTC)) == "its certificate is revoked"
    fine = TrustMaterial(frozenset({b"root"}), {"cn=root": frozenset({7})}, True)
    assert trust_objection(trust, fine, datetime.now(UTC)) is None
