"""Certificates and revocation lists as they are on disk: near their end, weak, incomplete, for no name."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from mcproxy.config.certificate_files import UNREADABLE, is_for, issued_by, load_certificates
from mcproxy.config.expiry import end_of
from mcproxy.config.material import named_files
from mcproxy.config.regular_file import explained
from mcproxy.config.schema import AdminTls, ListenerTls
from mcproxy.config.upstream_schema import UpstreamTls
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok

URGENT_DAYS = 7
SOON_DAYS = 30
_DAY = 86400.0
_LEAST_RSA = 2048
_LEAST_CURVE = 256
_WEAK_HASHES = ("md5", "sha1", "md4", "md2")
_SERVER, _CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
_FIT = {_SERVER: ", for servers, names, whole chain", _CLIENT: ", for clients, whole chain"}
_WITHOUT_DAYS = frozenset({"crl"})
"""What is made for days: only its end counts."""


def ends(deployment: Deployment) -> list[Result]:
    """How long everything is good for that has an end."""
    now = datetime.now(UTC).timestamp()
    results: list[Result] = []
    for subject, key, path in _with_an_end(deployment):
        try:
            end = end_of(key, path)
        except (OSError, *UNREADABLE) as error:
            seen = f"until when its {_called(key)} is good: {file_problem(path, error)}"
            results.append(could_not_tell(subject, seen))
            continue
        if end is not None:
            results.append(_end(subject, key, end, (end - now) / _DAY))
    return results or [ok("TLS", "no certificate is configured")]


def _with_an_end(deployment: Deployment) -> Iterator[tuple[str, str, Path]]:
    """Whose it is, the key in the configuration, and the file."""
    settings = deployment.settings
    sections: list[tuple[str, ListenerTls | UpstreamTls | AdminTls | None]] = [
        *((f"listener {name}", listener.tls) for name, listener in settings.listeners.items()),
        *((f"upstream {name}", upstream.tls) for name, upstream in settings.all_upstreams.items()),
        ("admin port", settings.admin.tls),
    ]
    for subject, tls in sections:
        for (key,), path in () if tls is None else named_files(tls):
            if key != "key":
                yield subject, str(key), path


def file_problem(path: Path, error: Exception) -> str:
    """What the library says of a file that makes no sense would help nobody."""
    return explained(error) if isinstance(error, OSError) else f"{path} holds nothing that can be read"


def _called(key: str) -> str:
    return "revocation list" if key == "crl" else key


def _end(subject: str, key: str, end: float, days: float) -> Result:
    when = f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M} UTC"
    what = _called(key)
    if days < 0:
        return finding(subject, f"its {what} has expired on {when}", f"put a new one in the place of the file of {key}")
    if key in _WITHOUT_DAYS:
        return ok(subject, f"its {what} is good until {when}")
    if days < URGENT_DAYS:
        return finding(subject, f"its {what} expires on {when}, in {days:.0f} days", "have it issued anew now")
    if days < SOON_DAYS:
        return note(subject, f"its {what} expires on {when}, in {days:.0f} days", "have it issued anew")
    return ok(subject, f"its {what} is good until {when}")


def strength(deployment: Deployment) -> list[Result]:
    """Keys, signatures, purposes, names and chains of what is shown to others, and keys of who is trusted."""
    results: list[Result] = []
    for subject, path, purpose in _files(deployment):
        try:
            found = load_certificates(path)
        except (OSError, *UNREADABLE) as error:
            results.append(could_not_tell(subject, f"how strong it is: {file_problem(path, error)}"))
            continue
        problems = [*_weak(found), *(_unfit(found, purpose) if purpose else [])]
        results += [finding(subject, f"{path}: {problem}", "have it issued anew") for problem in problems]
        early = [*_early(found)]
        if purpose:
            remedy = "see that the clock is right; else have it issued anew, or use the one before it until then"
            results += [finding(subject, f"{path}: {problem}", remedy) for problem in early]
        else:
            results += [note(subject, f"{path}: {problem}", "see that the clock is right") for problem in early]
        if not problems and not early:
            results.append(ok(subject, f"{path}: strong keys and signatures" + (_FIT[purpose] if purpose else "")))
    return results or [ok("TLS", "no certificate is configured")]


def _files(deployment: Deployment) -> Iterator[tuple[str, Path, x509.ObjectIdentifier | None]]:
    """The purpose is that of a certificate that is shown to others; None for authorities."""
    admin = deployment.settings.admin.tls
    sections = [(f"listener {name}", one.tls) for name, one in deployment.settings.listeners.items()]
    for subject, tls in (*sections, ("admin port", admin)):
        if tls is not None:
            yield subject, tls.certificate, _SERVER
            if tls.client_ca is not None:
                yield subject, tls.client_ca, None
    for name, upstream in deployment.settings.all_upstreams.items():
        if upstream.tls is not None:
            yield f"upstream {name}", upstream.tls.ca, None
            if upstream.tls.certificate is not None:
                yield f"upstream {name}", upstream.tls.certificate, _CLIENT


def _early(certificates: list[x509.Certificate]) -> Iterator[str]:
    now = datetime.now(UTC)
    for number, one in enumerate(certificates, 1):
        if one.not_valid_before_utc > now:
            which = f"certificate {number}" if len(certificates) > 1 else "it"
            yield f"{which} is not valid before {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"


def _weak(certificates: list[x509.Certificate]) -> Iterator[str]:
    for number, one in enumerate(certificates, 1):
        which = f"certificate {number}" if len(certificates) > 1 else "it"
        try:
            key = one.public_key()
            signature = one.signature_hash_algorithm
        except (UnsupportedAlgorithm, *UNREADABLE):  # of a kind that has no name here: nothing weak
            continue
        if isinstance(key, rsa.RSAPublicKey) and key.key_size < _LEAST_RSA:
            yield f"{which} has an RSA key of {key.key_size} bits, and needs {_LEAST_RSA}"
        elif isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < _LEAST_CURVE:
            yield f"{which} has an elliptic curve of {key.key_size} bits, and needs {_LEAST_CURVE}"
        elif isinstance(key, dsa.DSAPublicKey):
            yield f"{which} has a DSA key, which nobody takes any more"
        # Nobody checks the signature of what is trusted itself.
        if signature is not None and signature.name in _WEAK_HASHES and one.issuer != one.subject:
            yield f"{which} is signed with {signature.name.upper()}, which can be forged"


def _unfit(certificates: list[x509.Certificate], purpose: x509.ObjectIdentifier) -> Iterator[str]:
    first = certificates[0]
    if not is_for(purpose, first):
        wanted, others = ("serverAuth", "clients") if purpose == _SERVER else ("clientAuth", "upstreams")
        yield f"its extendedKeyUsage is without {wanted}, so {others} that verify it refuse it"
    if purpose == _SERVER and not _names(first):
        yield "it is for no name (subjectAltName), so clients that verify it refuse it"
    for number, (one, issuer) in enumerate(itertools.pairwise(certificates), 1):
        if not issued_by(one, issuer):
            yield f"certificate {number + 1} has not issued certificate {number}: the chain is broken"
            return


def _names(certificate: x509.Certificate) -> int:
    try:
        return len(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return 0
