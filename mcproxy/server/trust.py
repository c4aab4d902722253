"""Whether the certificate that a session came in by would still be taken: asked at a reload, for sessions of before.

A handshake asks OpenSSL. Afterwards nobody does, so what it decided by is kept with the session, in a few bytes.
"""

import hashlib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from mcproxy.config.revocation import load_crls
from mcproxy.config.schema import ListenerTls
from mcproxy.relay.secured import Secured
from mcproxy.server.client_certificate import refused

_DER: Final = 2  # _ssl.ENCODING_DER
_CERTIFICATE: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Trust:
    """What the verification of a client's certificate rested on.

    `chain`: issuer and serial number of every certificate below the anchor, the client's own first. `anchor`: SHA-256
    of the authority that the chain ended at, empty if that could not be told. `expires`: when the first of all does.
    """

    chain: tuple[tuple[str, int], ...]
    anchor: bytes
    expires: datetime


@dataclass(frozen=True)
class TrustMaterial:
    """What a listener's files say: SHA-256 of each authority, and the revoked serial numbers by issuer.

    `required`: whoever connects must show a certificate.
    """

    authorities: frozenset[bytes]
    revoked: Mapping[str, frozenset[int]]
    required: bool


def trust_of(connection: Secured) -> Trust | None:
    """To be kept with the session; None without a client certificate.

    Raises ssl.SSLCertVerificationError for a chain that OpenSSL has taken, and that can't be told or read here: nobody
    could say later whether it would still be taken.
    """
    leaf = connection.certificate()
    if leaf is None:
        return None
    try:
        chain = _verified_chain(connection)
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        return Trust(
            chain=tuple((_issuer(one.issuer), one.serial_number) for one in certificates[: max(1, len(chain) - 1)]),
            anchor=hashlib.sha256(chain[-1]).digest(),
            expires=min(one.not_valid_after_utc for one in certificates),
        )
    except (AttributeError, IndexError, ValueError, x509.InvalidVersion):
        raise refused("its chain can't be read without doubt") from None


def trust_material(tls: ListenerTls) -> TrustMaterial | None:
    """Read the listener's authorities and revocation lists, which takes a while; None if it asks for no certificates.

    Raises OSError, and ValueError for what the configuration's check refuses.
    """
    if tls.client_ca is None:
        return None
    authorities = [
        ssl.PEM_cert_to_DER_cert(block) for block in _CERTIFICATE.findall(tls.client_ca.read_text("latin-1"))
    ]
    revoked: dict[str, frozenset[int]] = {}
    for crl in [] if tls.crl is None else load_crls(tls.crl.read_bytes()):
        issuer = _issuer(crl.issuer)
        revoked[issuer] = revoked.get(issuer, frozenset()) | {entry.serial_number for entry in crl}
    digests = frozenset(hashlib.sha256(der).digest() for der in authorities)
    return TrustMaterial(digests, revoked, tls.client_certificate == "required")


def trust_objection(trust: Trust | None, material: TrustMaterial | None, now: datetime) -> str | None:
    """Why a session that came in on `trust` would not come in by these files, or None.

    `material` is None for a listener that asks for no certificates: then none stands against anybody. A list that has
    become stale ends no session, though it lets no new one in.
    """
    if material is None:
        return None
    if trust is None:
        return "a client certificate is required now" if material.required else None
    if trust.anchor not in material.authorities:
        return "the authority of its certificate is not trusted any more"
    if any(serial in material.revoked.get(issuer, ()) for issuer, serial in trust.chain):
        return "its certificate is revoked"
    return "its certificate has expired" if now >= trust.expires else None


def _verified_chain(connection: Secured) -> list[bytes]:
    """In DER, from the client's certificate to the anchor. Raises AttributeError where this Python can't tell."""
    tls: Any = connection.tls
    if hasattr(tls, "get_verified_chain"):  # from Python 3.13 on
        return list(tls.get_verified_chain())
    return [certificate.public_bytes(_DER) for certificate in tls._sslobj.get_verified_chain()]


def _issuer(name: x509.Name) -> str:
    """A spelling that is the same wherever OpenSSL takes two names for the same (RFC 5280 section 7.1)."""
    return " ".join(name.rfc4514_string().casefold().split())
