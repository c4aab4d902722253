"""Until when a listener's certificates, authorities and revocation lists are good: for a metric, and for notes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from cryptography import x509

from mcproxy.config.certificate_files import UNREADABLE, load_certificates
from mcproxy.config.problems import Finding, Place
from mcproxy.config.regular_file import read_regular_file
from mcproxy.config.revocation import load_crls
from mcproxy.config.schema import ListenerTls, UpstreamTls


def expiries(tls: ListenerTls) -> dict[str, float]:
    """Unix times in seconds by the keys `certificate`, `client_ca` and `crl`, as far as the listener has them.

    Of several in a file the earliest, and of a CRL the time at which the next one is due. A file that only OpenSSL can
    read is left out. Raises OSError.
    """
    return _earliest(("certificate", tls.certificate), ("client_ca", tls.client_ca), ("crl", tls.crl))


def upstream_expiries(tls: UpstreamTls) -> dict[str, float]:
    """As expiries, by the keys `ca` and `certificate` of an upstream."""
    return _earliest(("ca", tls.ca), ("certificate", tls.certificate))


def end_of(key: str, path: Path) -> float | None:
    """The earliest end in the file of one of these keys; None for a list without one.

    Raises OSError, and one of UNREADABLE.
    """
    content = read_regular_file(path).content
    ends = _crls_end(content) if key == "crl" else _certificates_end(content)
    return min(ends).timestamp() if ends else None


def _earliest(*files: tuple[str, Path | None]) -> dict[str, float]:
    found = {}
    for key, path in files:
        if path is not None:
            with contextlib.suppress(*UNREADABLE):
                end = end_of(key, path)
                if end is not None:
                    found[key] = end
    return found


def authority_notes(path: Path, now: datetime, soon: int, place: Place) -> Iterator[Finding]:
    """A note for each authority that is not valid yet, has expired, or will within `soon` days."""
    for authority in load_certificates(path):
        begins, ends = authority.not_valid_before_utc, authority.not_valid_after_utc
        name = authority.subject.rfc4514_string()
        if begins > now:
            message = (
                f"{name} is not valid before {begins:%Y-%m-%d %H:%M} UTC; the certificates that it issued are refused"
            )
            yield Finding(place, f"{path}: {message}")
        elif ends < now:
            message = f"{name} has expired on {ends:%Y-%m-%d %H:%M} UTC; the certificates that it issued are refused"
            yield Finding(place, f"{path}: {message}")
        elif (ends - now).days < soon:
            message = f"{name} expires in {(ends - now).days} days; then the certificates that it issued are refused"
            yield Finding(place, f"{path}: {message}")


def _certificates_end(content: bytes) -> list[datetime]:
    return [certificate.not_valid_after_utc for certificate in x509.load_pem_x509_certificates(content)]


def _crls_end(content: bytes) -> list[datetime]:
    """For each issuer: OpenSSL takes the newest of its lists."""
    newest: dict[x509.Name, datetime] = {}
    for crl in load_crls(content):
        if crl.next_update_utc is not None:
            newest[crl.issuer] = max(crl.next_update_utc, newest.get(crl.issuer, crl.next_update_utc))
    return list(newest.values())
