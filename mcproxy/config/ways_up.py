"""How an upstream is reached and by whom, as `check` tells it. Never with a password."""

from __future__ import annotations

from collections.abc import Iterator

from cryptography import x509

from mcproxy.config.certificate_files import UNREADABLE
from mcproxy.config.material import Files
from mcproxy.config.schema import Listener, Settings, Upstream, UpstreamLogin, UpstreamTls


def ways_up(settings: Settings, files: Files) -> Iterator[str]:
    """A line for each upstream, and behind it one, set off by two spaces, for each listener whose clients reach it.

    `files` hold the certificates that are shown.
    """
    for name, upstream in settings.all_upstreams.items():
        called = "upstream" if settings.upstream is not None else f"upstream {name}"
        encryption = "no TLS" if upstream.tls is None else _tls(upstream.tls, upstream.server_name, files)
        login = "no login" if upstream.login is None else _login(upstream.login)
        yield f"{called}: {upstream.address}; {encryption}; {login}"
        listeners = settings.listeners_of(name)
        spoken = {upstream.spoken(one) for listener in listeners.values() for one in listener.protocols}
        if "text" in spoken and upstream.login is not None and upstream.login.method == "sasl":
            yield "  sasl over text: as mcproxy and arcus-memcached have it; memcached -S needs protocol: binary"
        for listener_name, listener in listeners.items():
            yield f"  from {listener_name}: {', '.join(_spoken(upstream, listener))}"
        if not listeners:
            yield "  from nobody: no listener names it"


def _tls(tls: UpstreamTls, server_name: str | None, files: Files) -> str:
    shown = "" if tls.certificate is None else f", shown {_subject(files[tls.certificate].content)}"
    return f"TLS {tls.minimum_version} or newer, for {server_name}{shown}"


def _subject(content: bytes) -> str:
    try:
        subject = x509.load_pem_x509_certificates(content)[0].subject.rfc4514_string()
    except UNREADABLE:
        subject = ""
    return f"the certificate of {subject}" if subject else "a certificate without a name"


def _login(login: UpstreamLogin) -> str:
    if login.mechanism == "EXTERNAL":
        return "login by sasl EXTERNAL, as that certificate's"
    how = "token" if login.mechanism is None else f"sasl {login.mechanism}"
    return f"login by {how} as {login.username}"


def _spoken(upstream: Upstream, listener: Listener) -> Iterator[str]:
    for protocol in listener.protocols:
        spoken = upstream.spoken(protocol)
        clients = f"{protocol} clients"
        yield f"{clients} as they are" if spoken == protocol else f"{clients} translated to {spoken}"
