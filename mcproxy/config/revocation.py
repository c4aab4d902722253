"""Certificate revocation lists (RFC 5280 section 5): whether a file of them can do its work, and for how long.

OpenSSL fails closed and says little: without a list of an authority, or with a stale one, every certificate of that
authority is refused. So what can be told before is told before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from mcproxy.config.problems import Finding, Place

_PEM = re.compile(rb"-----BEGIN X509 CRL-----.*?-----END X509 CRL-----", re.DOTALL)


def load_crls(content: bytes) -> list[x509.CertificateRevocationList]:
    """The lists of a PEM file. Raises ValueError for a damaged one."""
    return [x509.load_pem_x509_crl(block) for block in _PEM.findall(content)]


def covers_all(crl: Path, client_ca: Path) -> bool:
    """Whether there is a list of every authority, so that whole chains can be checked and not their ends alone.

    Raises OSError and ValueError.
    """
    issuers = {one.issuer for one in load_crls(crl.read_bytes())}
    return all(authority.subject in issuers for authority in _authorities(client_ca))


def check_crl(crl: Path, client_ca: Path, place: Place) -> Iterator[Finding]:
    """What stands against the lists in a file that holds whole PEM blocks of them."""
    content = crl.read_bytes()
    if b"-----BEGIN CERTIFICATE-----" in content:
        yield Finding(place, f"{crl} holds a certificate, which would be trusted; authorities belong into client_ca")
    try:
        lists = load_crls(content)
        authorities = _authorities(client_ca)
    except ValueError:
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
    lists = load_crls(crl.read_bytes())
    for one in lists:
        ends, name = one.next_update_utc, one.issuer.rfc4514_string()
        if ends is None:
            continue
        if ends < now:
            message = f"the list of {name} is stale since {ends:%Y-%m-%d %H:%M} UTC; its certificates are all refused"
            yield Finding(place, f"{crl}: {message}")
        elif (ends - now).days < soon:
            message = (
                f"the list of {name} is stale from {ends:%Y-%m-%d %H:%M} UTC on; then its certificates are refused"
            )
            yield Finding(place, f"{crl}: {message}")
    issuers = {one.issuer for one in lists}
    for authority in _authorities(client_ca):
        if authority.subject not in issuers:
            message = (
                f"has no list of {authority.subject.rfc4514_string()}; the certificates that it issued are refused"
            )
            yield Finding(place, f"{crl} {message}")


def _authorities(path: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(path.read_bytes())


def _signed(crl: x509.CertificateRevocationList, authority: x509.Certificate) -> bool:
    try:
        return crl.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False
