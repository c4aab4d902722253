"""Certificates as they are on disk, beyond their end: begin, purpose and names."""

import datetime

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from mcproxy.doctor.certificates import strength
from tests.support.certificates import SERVER_NAMES, Certificates, Issued
from tests.unit.doctor.examining import deployment, told

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
DAYS = datetime.timedelta(days=5)
EARLY = {"begins": DAYS, "ends": 2 * DAYS}


def listener(issued: Issued) -> list[tuple[str, str]]:
    tls = {"certificate": str(issued.certificate), "key": str(issued.key)}
    return told(strength(deployment({"tls": tls, "plaintext": False})))


def upstream(ca: Certificates, issued: Issued) -> list[tuple[str, str]]:
    tls = {"ca": str(ca.authority), "certificate": str(issued.certificate), "key": str(issued.key)}
    examined = deployment(upstream={"address": "10.0.0.9:11211", "tls": {**tls, "server_name": "cache"}})
    return told(strength(examined))[1:]


@pytest.mark.parametrize(
    ("purpose", "how", "seen"),
    [
        (SERVER, {}, ""),
        (None, {}, ""),
        (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE, {}, ""),
        (CLIENT, {}, "its extendedKeyUsage is without serverAuth"),
        (SERVER, EARLY, "it is not valid before "),
    ],
)
def test_of_a_listener(certificates, purpose, how, seen):
    (result,) = listener(certificates.issue("doctors-server", SERVER_NAMES, purpose, **how))
    assert result[0] == ("finding" if seen else "ok")
    assert seen in result[1]


@pytest.mark.parametrize(
    ("purpose", "how", "seen"),
    [
        (CLIENT, {}, ""),
        (None, {}, ""),
        (SERVER, {}, "its extendedKeyUsage is without clientAuth"),
        (CLIENT, EARLY, "it is not valid before "),
    ],
)
def test_of_mcproxy_itself_for_an_upstream(certificates, purpose, how, seen):
    """It needs no name."""
    (result,) = upstream(certificates, certificates.client("doctors-client", [], purpose, **how))
    assert result[0] == ("finding" if seen else "ok")
    assert seen in result[1]


def test_an_authority_that_is_not_valid_yet_is_worth_a_note(certificates):
    """It may be there beside the one that it will follow."""
    next_one = certificates.issue("next", [], None, **EARLY)
    issued = certificates.issue("doctors-server", SERVER_NAMES, SERVER)
    tls = {"certificate": str(issued.certificate), "key": str(issued.key), "client_ca": str(next_one.certificate)}
    examined = deployment({"tls": {**tls, "client_certificate": "optional"}, "plaintext": False})
    verdicts = [verdict for verdict, _ in told(strength(examined))]
    assert verdicts == ["ok", "note"]
