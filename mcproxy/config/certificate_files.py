"""Certificates in PEM files: which of them can be read, and what about them is hardly meant.

OpenSSL takes more than this program can read, such as names whose bytes are no text (T61String, mostly). Who a client
is must not rest on those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import ExtendedKeyUsageOID

from mcproxy.config.problems import Finding, Place
from mcproxy.config.regular_file import read_regular_file

UNREADABLE = (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def load_certificates(path: Path) -> list[x509.Certificate]:
    """All of a file. Raises OSError, and one of UNREADABLE, which the configuration's check has told."""
    return x509.load_pem_x509_certificates(read_regular_file(path).content)


def unreadable(path: Path, place: Place, *, names: bool = True) -> Iterator[Finding]:
    """What OpenSSL has taken and can't be read here; without `names` those of subject and issuer don't matter."""
    blocks = _BLOCK.findall(read_regular_file(path).content)
    for number, block in enumerate(blocks, 1):
        which = f"certificate {number} of {len(blocks)} in {path}" if len(blocks) > 1 else f"the certificate in {path}"
        try:
            certificate = x509.load_pem_x509_certificate(block)
            if not names:
                continue
            which += f" (SHA-256 {certificate.fingerprint(hashes.SHA256()).hex()[:16]}...)"
            _ = certificate.subject, certificate.issuer, certificate.extensions
        except UNREADABLE:
            what = "its name is no text, or its form no X.509" if names else "its form is no X.509"
            yield Finding(place, f"{which} can't be read without doubt: {what}; have it issued anew")


def authority_kind_notes(path: Path, place: Place, whose: str = "client") -> Iterator[Finding]:
    """Notes about what is no authority, or none that a chain could end at: those whom it is for are refused."""
    authorities = load_certificates(path)
    for one in authorities:
        name = one.subject.rfc4514_string()
        if one.issuer == one.subject:
            # Somebody's own certificate may stand here, if it has signed itself: then it is taken, and nobody else's.
            continue
        if not _is_authority(one):
            message = f"{name} is no authority's certificate (basicConstraints): no {whose}'s chain can end there"
            yield Finding(place, f"{path}: {message}")
        elif not any(issued_by(one, other) for other in authorities):
            message = f"{name} is issued by {one.issuer.rfc4514_string()}, which is not in the file"
            yield Finding(place, f"{path}: {message}: no {whose}'s chain can end there; add that authority")


def server_notes(path: Path, now: datetime, soon: int, place: Place) -> Iterator[Finding]:
    """Notes about the certificate that clients are shown, its chain included: `soon` are days."""
    yield from _shown_notes(path, now, soon, place, "clients")
    if not is_for(ExtendedKeyUsageOID.SERVER_AUTH, load_certificates(path)[0]):
        yield Finding(place, f"{path} is not for servers (extendedKeyUsage without serverAuth); clients will refuse it")


def client_notes(path: Path, now: datetime, soon: int, place: Place) -> Iterator[Finding]:
    """As server_notes, about the certificate that an upstream is shown."""
    yield from _shown_notes(path, now, soon, place, "upstream")
    if not is_for(ExtendedKeyUsageOID.CLIENT_AUTH, load_certificates(path)[0]):
        yield Finding(
            place, f"{path} is not for clients (extendedKeyUsage without clientAuth); upstream will refuse it"
        )


def _shown_notes(path: Path, now: datetime, soon: int, place: Place, who: str) -> Iterator[Finding]:
    first, *chain = load_certificates(path)
    begins, ends = first.not_valid_before_utc, first.not_valid_after_utc
    if begins > now:
        yield Finding(place, f"{path} is not valid before {begins:%Y-%m-%d %H:%M} UTC; {who} will refuse it")
    if ends < now:
        yield Finding(place, f"{path} has expired on {ends:%Y-%m-%d %H:%M} UTC; {who} will refuse it")
    elif (ends - now).days < soon:
        yield Finding(place, f"{path} expires in {(ends - now).days} days")
    for number, one in enumerate(chain, 2):
        ends = one.not_valid_after_utc
        if ends < now:
            message = f"certificate {number} has expired on {ends:%Y-%m-%d %H:%M} UTC"
            yield Finding(place, f"{path}: {message}; {who} may refuse the chain")
        elif (ends - now).days < soon:
            yield Finding(place, f"{path}: certificate {number}, of the chain, expires in {(ends - now).days} days")


def issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """By name and signature."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (InvalidSignature, TypeError, UnsupportedAlgorithm, *UNREADABLE):
        return False
    return True


def may_sign_lists(authority: x509.Certificate) -> bool:
    """Whether its keyUsage, if there is one, has cRLSign."""
    try:
        return authority.extensions.get_extension_for_class(x509.KeyUsage).value.crl_sign
    except x509.ExtensionNotFound:
        return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def is_for(purpose: x509.ObjectIdentifier, certificate: x509.Certificate) -> bool:
    """Whether its extendedKeyUsage, if there is one, has a purpose."""
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return True
    return bool({purpose, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(purposes))
