"""The files that a configuration names: can they be read, by nobody else, and do they hold what is wanted?

Errors of the ssl module are translated here, in one place.
"""

from __future__ import annotations

import os
import re
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

from mcproxy.config.certificate_files import unreadable
from mcproxy.config.problems import Finding, Place
from mcproxy.config.regular_file import LARGEST, read_regular_file
from mcproxy.config.secret_files import holds_private_key

_PEM_BLOCK = re.compile(r"-----(BEGIN|END) ([A-Z0-9 ]+)-----")
_REASONS = {
    "KEY_VALUES_MISMATCH": "does not belong to the certificate {certificate}; install the pair issued together",
    "KEY_TYPE_MISMATCH": "is of another type than the certificate {certificate}; install the pair issued together",
    "EE_KEY_TOO_SMALL": "or its certificate is too short to be safe; make RSA keys of 2048 bits or more, or EC keys",
    "CA_MD_TOO_WEAK": "can't be used: {certificate} is signed with a broken hash; have it issued anew with SHA-256",
}


def file_problems(path: Path, place: Place, hint: str = "") -> Iterator[Finding]:
    """Whether there is a regular file that can be read."""
    hint = f"; {hint}" if hint else ""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            yield Finding(place, f"{path} is not a regular file")
            return
        if status.st_size > LARGEST:
            yield Finding(place, f"{path} is too large: more than {LARGEST // 2**20} MiB")
            return
        with path.open("rb"):
            pass
    except FileNotFoundError:
        yield Finding(place, f"there is no file {path}{hint}")
    except OSError as error:
        who = f" by {_me()}" if isinstance(error, PermissionError) else ""
        yield Finding(place, f"{path} can't be read{who}: {os.strerror(error.errno or 0)}")


def secret_file_problems(path: Path, place: Place, hint: str = "") -> Iterator[Finding]:
    """As file_problems, and nobody but its owner and group may read or write it: so that Kubernetes can mount it."""
    missing = list(file_problems(path, place, hint))
    yield from missing or _open_to_everybody(path, place, "")


def _open_to_everybody(path: Path, place: Place, what: str) -> Iterator[Finding]:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        can = "read" if mode & stat.S_IROTH else "changed"
        yield Finding(place, f"{path} {what}can be {can} by everybody (mode {mode:04o}); run: chmod o= {path}")


def _certificate_problems(path: Path, place: Place) -> Iterator[Finding]:
    """As file_problems; where a key stands beside the certificate, as secret_file_problems."""
    missing = list(file_problems(path, place))
    yield from missing
    if not missing and holds_private_key(read_regular_file(path).content):
        yield from _open_to_everybody(path, place, "holds a private key and ")


def _me() -> str:
    return f"user id {os.geteuid()}"


def pair_problems(certificate: Path, key: Path, place: Place) -> Iterator[Finding]:
    """Whether a certificate and its key can be shown to whoever is at the other end; `place` is the section's."""
    pair = [
        *_certificate_problems(certificate, (*place, "certificate")),
        *secret_file_problems(key, (*place, "key")),
        *pem_problems(certificate, (*place, "certificate"), "CERTIFICATE"),
        *pem_problems(key, (*place, "key"), "PRIVATE KEY"),
    ]
    yield from pair
    if not pair:
        damaged = list(_key_pair(certificate, key, place))
        yield from damaged or unreadable(certificate, (*place, "certificate"), names=False)


def authority_problems(path: Path, place: Place, *, names: bool = True) -> Iterator[Finding]:
    """Whether a file holds authorities to check the other end's certificate with. `names` is that of unreadable."""
    found = [*file_problems(path, place), *pem_problems(path, place, "CERTIFICATE")]
    yield from found or list(_authority(path, place)) or list(unreadable(path, place, names=names))


def pem_problems(path: Path, place: Place, wanted: str) -> Iterator[Finding]:
    """Whether a file holds whole PEM blocks of the wanted kind; OpenSSL would only say "PEM lib"."""
    try:
        text = read_regular_file(path).content.decode("latin-1")
    except OSError:
        return  # file_problems told it
    marks: list[tuple[str, str]] = _PEM_BLOCK.findall(text)
    kinds = {kind for mark, kind in marks if mark == "BEGIN"}
    halves = [mark for mark, _ in marks]
    if halves != ["BEGIN", "END"] * (len(marks) // 2):
        yield Finding(place, f"{path} is cut short: a PEM block is not whole; copy the file again")
    elif not any(kind == wanted or (wanted == "PRIVATE KEY" and kind.endswith(wanted)) for kind in kinds):
        held = f"it holds {', '.join(sorted(kinds))}" if kinds else "it is not in PEM form"
        what = "revocation list" if wanted == "X509 CRL" else wanted.lower()
        yield Finding(place, f"{path} holds no {what}: {held}")
    elif wanted == "PRIVATE KEY" and ("ENCRYPTED PRIVATE KEY" in kinds or "Proc-Type: 4,ENCRYPTED" in text):
        yield Finding(place, f"{path} is encrypted and nobody is there to type its passphrase; store it decrypted")
    elif wanted == "CERTIFICATE" and "X509 CRL" in kinds:
        yield Finding(place, f"{path} holds a revocation list; put that into a file of its own, and name it as crl")
    elif others := sorted(kind for kind in kinds if not _is_read(kind, wanted, place)):
        # Some of OpenSSL's functions read these, and others do not.
        alone = f"write a {wanted} in its place, or take it out"
        yield Finding(place, f"{path} holds a {others[0]} beside what is wanted here; {alone}")


def _is_read(kind: str, wanted: str, place: Place) -> bool:
    """Whether a PEM block may stand in the file. A key beside the server's certificate is a habit of other programs."""
    if wanted == "X509 CRL":
        return kind in ("X509 CRL", "CERTIFICATE")  # the latter is refused by check_crl
    if wanted == "CERTIFICATE" and place[-1] in ("client_ca", "ca"):
        return kind == "CERTIFICATE"
    return kind not in ("TRUSTED CERTIFICATE", "X509 CERTIFICATE")


def _key_pair(certificate: Path, key: Path, place: Place) -> Iterator[Finding]:
    try:
        # The password function keeps OpenSSL from asking on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=lambda: "")
        return
    except ssl.SSLError as error:
        reason = error.reason or ""
    except (OSError, ValueError) as error:
        reason = str(error)
    if reason in _REASONS:
        several = certificate.read_text("latin-1").count("-----BEGIN CERTIFICATE-----") > 1
        first = "; of several in that file, the server's own must come first" if several else ""
        yield Finding((*place, "key"), f"{key} {_REASONS[reason].format(certificate=certificate)}{first}")
        return
    # OpenSSL doesn't say which file it was: the certificate can be tried as an authority, without its key.
    damaged = list(_authority(certificate, (*place, "certificate")))
    yield from damaged
    if not damaged:
        yield Finding((*place, "key"), f"{key} can't be used; its content is damaged ({reason})")


def _authority(path: Path, place: Place) -> Iterator[Finding]:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or str(error)
        yield Finding(place, f"{path} can't be used; its content is damaged ({reason})")
