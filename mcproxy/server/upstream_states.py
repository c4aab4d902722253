"""From checked settings to what links to the upstreams are opened with."""

import hashlib
import ssl
from pathlib import Path

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.config.expiry import upstream_expiries
from mcproxy.config.schema import Settings, UpstreamLogin, UpstreamTls
from mcproxy.config.upstream_password import PasswordError, password_of
from mcproxy.server.state import UpstreamState
from mcproxy.server.tls import TLS12_CIPHERS, VERSIONS


def upstream_states(settings: Settings, readable: Settings) -> dict[str, UpstreamState]:
    """Every upstream with its TLS context and its credentials. `readable` names files that can be opened now.

    Raises OSError for files that don't do, and ValueError for what the configuration's check refuses.
    """
    states = {}
    for name, upstream in settings.all_upstreams.items():
        tls, login = readable.all_upstreams[name].tls, readable.all_upstreams[name].login
        states[name] = UpstreamState(
            name=name,
            settings=upstream,
            context=None if tls is None else client_context(tls),
            trust=None if tls is None else _digest(f"{upstream.server_name} {tls.minimum_version}", tls.ca),
            shown=None if tls is None else _digest("", tls.certificate, tls.key),
            login=None if login is None else _credentials(login, name),
            expiries={} if tls is None else upstream_expiries(tls),
        )
    return states


def client_context(tls: UpstreamTls) -> ssl.SSLContext:
    """A new context that trusts the authorities of `ca` and none of the system's.

    Raises ssl.SSLError or OSError for files that don't do; the configuration's check came first.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # What a client's context of Python begins with. It is what everything here rests on, so it is said once more.
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = True
    # RFC 9525 section 2: a name is what subjectAltName has, whatever the subject calls itself.
    context.hostname_checks_common_name = False
    context.minimum_version = VERSIONS[tls.minimum_version]
    context.set_ciphers(TLS12_CIPHERS)
    # Each link is verified by itself: nothing is resumed.
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.load_verify_locations(cafile=tls.ca)
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")
    return context


def _digest(settings: str, *files: Path | None) -> bytes:
    """What tells one state of settings and files from another. Raises OSError."""
    digest = hashlib.sha256(settings.encode())
    for path in files:
        digest.update(b"-" if path is None else hashlib.sha256(path.read_bytes()).digest())
    return digest.digest()


def _credentials(login: UpstreamLogin, name: str) -> Credentials:
    try:
        password = password_of(login)
    except PasswordError as error:
        # Without what it came from: a traceback would show that.
        raise ValueError(f"the password for upstream {name} {error}") from None
    mechanism = login.mechanism if login.method == "sasl" else None
    return Credentials(mechanism, login.username or "", password)
