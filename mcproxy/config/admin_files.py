"""The files that the section `admin` names: whether they do, and what about them is hardly meant."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from datetime import datetime

from mcproxy.config.admin_words import TokenError, token_in
from mcproxy.config.certificate_files import authority_kind_notes, server_notes
from mcproxy.config.expiry import authority_notes
from mcproxy.config.pem_files import authority_problems, pair_problems, secret_file_problems
from mcproxy.config.problems import Finding, Place
from mcproxy.config.schema import Admin


def admin_file_problems(admin: Admin, place: Place) -> Iterator[Finding]:
    """Whatever stands against them: files that are missing, that others can read, or that don't hold what is wanted."""
    if admin.tls is not None:
        yield from pair_problems(admin.tls.certificate, admin.tls.key, (*place, "tls"))
        if admin.tls.client_ca is not None:
            # Nobody is known by a name here: whoever has a certificate of this authority may look.
            yield from authority_problems(admin.tls.client_ca, (*place, "tls", "client_ca"), names=False)
    if admin.token_file is not None:
        at = (*place, "token_file")
        hint = "write a token into it, on one line (mode 0600), such as: openssl rand -hex 32"
        missing = list(secret_file_problems(admin.token_file, at, hint))
        yield from missing
        if not missing:
            try:
                token_in(admin.token_file.read_bytes())
            except TokenError as error:
                yield Finding(at, f"{admin.token_file} {error}")


def admin_notes(admin: Admin, now: datetime, soon: int, changeable: str, place: Place) -> Iterator[Finding]:
    """As of a listener's files; `soon` are days, and `changeable` is what is said of a file that everybody can write.

    Raises OSError.
    """
    if admin.tls is None:
        return
    at = (*place, "tls")
    yield from server_notes(admin.tls.certificate, now, soon, (*at, "certificate"))
    authority = admin.tls.client_ca
    if authority is not None:
        if admin.health_bind is None:
            message = "mcproxy health has no certificate: it always fails, and so does a container's check by it"
            yield Finding((*at, "client_ca"), f"{message}; set admin.health_bind")
        yield from authority_notes(authority, now, soon, (*at, "client_ca"))
        yield from authority_kind_notes(authority, (*at, "client_ca"))
    for key, path in (("certificate", admin.tls.certificate), ("client_ca", authority)):
        if path is not None and path.stat().st_mode & stat.S_IWOTH:
            yield Finding((*at, key), f"{path} {changeable} {path}")
