"""Certificate revocation lists (RFC 5280 section 5): whether a file of them can do its work, and for how long.

OpenSSL fails closed and says little: without a list of an authority, or with one that it can't use, every certificate
of that authority is refused. So what can be told before is told before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID

from mcproxy.config.certificate_files import UNREADABLE, load_certificates, may_sign_lists
from mcproxy.config.problems import Finding, Place
from mcproxy.config.regular_file import read_regular_file

_PEM = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)
# What OpenSSL (crypto/x509/x_crl.c) doesn't mind in a list though it is critical.
_KNOWN_CRITICAL = (
    ExtensionOID.ISSUING_DISTRIBUTION_POINT,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.DELTA_CRL_INDICATOR,
)


def load_crls(content: bytes) -> list[x509.CertificateRevocationList]:
    """The lists of a PEM file. Raises ValueError for a damaged one."""
    return [x509.load_pem_x509_crl(block) for block in _PEM.findall(content)]


def covers_all(crl: Path, client_ca: Path) -> bool:
    """Whether there is a list of every authority, so that whole chains can be checked and not their ends alone.

    Raises OSError and ValueError.
    """
    lists = load_crls(read_regular_file(crl).content)
    return all(_lists_of(authority, lists) for authority in load_certificates(client_ca))


def check_crl(crl: Path, client_ca: Path, place: Place) -> Iterator[Finding]:
    """What stands against the lists in a file that holds whole PEM blocks of them."""
    content = read_regular_file(crl).content
    if b"-----BEGIN CERTIFICATE-----" in content:
        yield Finding(place, f"{crl} holds a certificate, which would be trusted; authorities belong into client_ca")
    try:
        lists = load_crls(content)
        authorities = load_certificates(client_ca)
        for one in lists:
            _ = one.issuer, one.extensions
    except UNREADABLE:
        yield Finding(place, f"{crl} can't be used; its content is damaged")
        return
    for one in lists:
        issuers = [authority for authority in authorities if authority.subject == one.issuer]
        name = one.issuer.rfc4514_string()
        if not issuers:
            yield Finding(place, f"{crl} holds a revocation list of {name}, which is not in {client_ca}; add it there")
        elif not any(_signed(one, authority) for authority in issuers):
            message = f"{crl} holds a revocation list of {name} that is not signed with that authority's key"
            yield Finding(place, f"{message} in {client_ca}; fetch the list again")


def crl_notes(crl: Path, client_ca: Path, now: datetime, soon: int, place: Place) -> Iterator[Finding]:
    """What is about to go wrong, within `soon` days, or has: a note each. The files are those that were checked."""
    lists = load_crls(read_regular_file(crl).content)
    for authority in load_certificates(client_ca):
        name = authority.subject.rfc4514_string()
        for message in _notes_of(authority, name, _lists_of(authority, lists), now, soon):
            yield Finding(place, f"{crl}{message}" if message.startswith(":") else f"{crl} {message}")
    for one in lists:
        if _is_delta(one):
            message = f"holds a delta list of {one.issuer.rfc4514_string()}, which is not used; give the whole list"
            yield Finding(place, f"{crl} {message}")


def _notes_of(
    authority: x509.Certificate, name: str, lists: list[x509.CertificateRevocationList], now: datetime, soon: int
) -> Iterator[str]:
    if not lists:
        yield f"has no list of {name}; the certificates that it issued are refused"
        return
    if not may_sign_lists(authority):
        yield f"has a list of {name}, whose keyUsage lacks cRLSign; the certificates that it issued are refused"
        return
    # OpenSSL takes the best of them: old ones beside it do no harm.
    objections = [_objection(one, now) for one in lists]
    usable = [one for one, objection in zip(lists, objections, strict=True) if objection is None]
    if not usable:
        newest = max(range(len(lists)), key=lambda number: lists[number].last_update_utc)
        yield f": the list of {name} {objections[newest]}; the certificates that it issued are refused"
        return
    ends = [one.next_update_utc for one in usable]
    last = max((end for end in ends if end is not None), default=None)
    if last is not None and None not in ends and (last - now).days < soon:
        yield f": the list of {name} is stale from {last:%Y-%m-%d %H:%M} UTC on; then its certificates are refused"


def _objection(crl: x509.CertificateRevocationList, now: datetime) -> str | None:
    """Why OpenSSL refuses clients' certificates for this list, or None."""
    if crl.next_update_utc is not None and crl.next_update_utc < now:
        return f"is stale since {crl.next_update_utc:%Y-%m-%d %H:%M} UTC"
    if crl.last_update_utc > now:
        return f"is not valid before {crl.last_update_utc:%Y-%m-%d %H:%M} UTC"
    unknown = [one.oid.dotted_string for one in crl.extensions if one.critical and one.oid not in _KNOWN_CRITICAL]
    if unknown:
        return f"has a critical extension that OpenSSL doesn't know ({unknown[0]})"
    try:
        scope = crl.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
    except x509.ExtensionNotFound:
        return None
    if scope.only_contains_ca_certs or scope.only_contains_attribute_certs:
        return "is not about clients' certificates (issuingDistributionPoint)"
    if scope.indirect_crl or scope.only_some_reasons:
        return "is indirect, or about some reasons alone (issuingDistributionPoint), which is not used"
    return None


def _lists_of(
    authority: x509.Certificate, lists: list[x509.CertificateRevocationList]
) -> list[x509.CertificateRevocationList]:
    """Its own, by name and signature: another authority of the same name has a list of its own."""
    return [one for one in lists if one.issuer == authority.subject and not _is_delta(one) and _signed(one, authority)]


def _is_delta(crl: x509.CertificateRevocationList) -> bool:
    return any(extension.oid == ExtensionOID.DELTA_CRL_INDICATOR for extension in crl.extensions)


def _signed(crl: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False
