"""What only this machine can tell: files, certificates, groups and the limit of file descriptors.

Everything is checked at start, before a port is open, so that a half-written certificate is one clear line and not
a handshake that fails later. Errors of the ssl module are translated here, in one place.
"""

from __future__ import annotations

import grp
import os
import re
import resource
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

from mcproxy.config.certificate_files import unreadable
from mcproxy.config.problems import Finding, Place
from mcproxy.config.revocation import check_crl
from mcproxy.config.schema import ListenerTls, Settings

RESERVED_DESCRIPTORS = 64
"""Standard streams, epolls, the admin port and its clients, files while they are read."""

_PEM_BLOCK = re.compile(r"-----(BEGIN|END) ([A-Z0-9 ]+)-----")
_REASONS = {
    "KEY_VALUES_MISMATCH": "does not belong to the certificate {certificate}; install the pair issued together",
    "KEY_TYPE_MISMATCH": "is of another type than the certificate {certificate}; install the pair issued together",
    "EE_KEY_TOO_SMALL": "or its certificate is too short to be safe; make RSA keys of 2048 bits or more, or EC keys",
    "CA_MD_TOO_WEAK": "can't be used: {certificate} is signed with a broken hash; have it issued anew with SHA-256",
}


def check_machine(settings: Settings) -> Iterator[Finding]:
    """Everything about files, groups and descriptors that stands against the settings."""
    for name, listener in settings.listeners.items():
        place = ("listeners", name)
        if listener.tls is not None:
            yield from _tls(listener.tls, (*place, "tls"))
        if listener.group is not None:
            yield from _group(listener.group, (*place, "group"))
    if settings.users_file is not None:
        yield from _secret_file(settings.users_file, ("users_file",), 'make it with "mcproxy user add"')
    yield from _descriptors(settings)


def _file(path: Path, place: Place, hint: str = "") -> Iterator[Finding]:
    """Whether there is a regular file that can be read."""
    hint = f"; {hint}" if hint else ""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            yield Finding(place, f"{path} is not a regular file")
            return
        with path.open("rb"):
            pass
    except FileNotFoundError:
        yield Finding(place, f"there is no file {path}{hint}")
    except OSError as error:
        who = f" by {_me()}" if isinstance(error, PermissionError) else ""
        yield Finding(place, f"{path} can't be read{who}: {os.strerror(error.errno or 0)}")


def _secret_file(path: Path, place: Place, hint: str = "") -> Iterator[Finding]:
    """As _file, and nobody but its owner and group may read or write it (group-readable is how Kubernetes mounts)."""
    missing = list(_file(path, place, hint))
    yield from missing
    if not missing:
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            can = "read" if mode & stat.S_IROTH else "changed"
            yield Finding(place, f"{path} can be {can} by everybody (mode {mode:04o}); run: chmod o= {path}")


def _me() -> str:
    return f"user id {os.geteuid()}"


def _tls(tls: ListenerTls, place: Place) -> Iterator[Finding]:
    pair = [
        *_file(tls.certificate, (*place, "certificate")),
        *_secret_file(tls.key, (*place, "key")),
        *_pem(tls.certificate, (*place, "certificate"), "CERTIFICATE"),
        *_pem(tls.key, (*place, "key"), "PRIVATE KEY"),
    ]
    yield from pair
    if not pair:
        damaged = list(_key_pair(tls.certificate, tls.key, place))
        yield from damaged or unreadable(tls.certificate, (*place, "certificate"), names=False)
    if tls.client_ca is not None:
        at = (*place, "client_ca")
        authority = [*_file(tls.client_ca, at), *_pem(tls.client_ca, at, "CERTIFICATE")]
        yield from authority
        if not authority:
            authority = list(_authority(tls.client_ca, at)) or list(unreadable(tls.client_ca, at))
            yield from authority
        if tls.crl is not None:
            at = (*place, "crl")
            lists = [*_file(tls.crl, at), *_pem(tls.crl, at, "X509 CRL")]
            yield from lists
            if not lists and not authority:
                yield from check_crl(tls.crl, tls.client_ca, at)


def _pem(path: Path, place: Place, wanted: str) -> Iterator[Finding]:
    """Whether a file holds whole PEM blocks of the wanted kind; OpenSSL would only say "PEM lib"."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return
        text = path.read_bytes().decode("latin-1")
    except OSError:
        return  # _file told it
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
    if wanted == "CERTIFICATE" and place[-1] == "client_ca":
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


def _group(group: str | int, place: Place) -> Iterator[Finding]:
    if isinstance(group, str):
        try:
            grp.getgrnam(group)
        except KeyError:
            yield Finding(place, f'there is no group "{group}" on this machine; make it, or write its number')


def _descriptors(settings: Settings) -> Iterator[Finding]:
    """Each connection is a descriptor; running out of them in the middle of the night helps nobody."""
    binds = sum(len(listener.bind) for listener in settings.listeners.values()) + 2
    links = sum(upstream.links * 2 for upstream in settings.all_upstreams.values())  # text and binary
    needed = settings.limits.connections + binds + links + RESERVED_DESCRIPTORS
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and needed > hard:
        reserve = needed - settings.limits.connections
        fits = f"write {hard - reserve} or less, or " if hard > reserve else ""
        message = (
            f"{settings.limits.connections} connections need {needed} file descriptors ({reserve} of them for other "
            f"things) and the hard limit is {hard}; {fits}raise the limit (ulimit -Hn, LimitNOFILE= of systemd)"
        )
        yield Finding(("limits", "connections"), message)
    # The parent of several workers holds all their listening sockets, and a channel and a process descriptor of each.
    held = settings.workers * (binds + 2) + RESERVED_DESCRIPTORS
    if settings.workers > 1 and hard != resource.RLIM_INFINITY and held > hard:
        message = (
            f"the parent of {settings.workers} workers needs {held} file descriptors and the hard limit is {hard}; "
            "write fewer, or raise the limit (ulimit -Hn, LimitNOFILE= of systemd)"
        )
        yield Finding(("workers",), message)
