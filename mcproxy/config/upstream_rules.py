"""Rules about upstreams: which there are, who reaches them, and how their links are encrypted and logged in.

Pure, as rules.py is. What is refused for its danger can be had by saying so in words.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.fitness import credentials_problem
from mcproxy.config.addresses import UnixAddress
from mcproxy.config.problems import Finding, Place, suggestion
from mcproxy.config.schema import Listener, Settings, Upstream, UpstreamLogin, UpstreamTls

_BOTH: tuple[Place, ...] = (("upstream",), ("upstreams",))


def upstream_place(settings: Settings, name: str) -> Place:
    """Where the document has an upstream, whichever form it uses."""
    return ("upstream",) if settings.upstream is not None else ("upstreams", name)


def upstream_rules(settings: Settings) -> Iterator[Finding]:
    """What the sections `upstream` and `upstreams`, and the listeners that name them, contradict."""
    yield from _which(settings)
    for name, listener in settings.listeners.items():
        yield from _reached(listener, settings, ("listeners", name, "upstream"))
    for name, upstream in settings.all_upstreams.items():
        place = upstream_place(settings, name)
        yield from _encryption(upstream, place)
        listeners = _listeners(settings, name)
        if upstream.engine == "twemproxy":
            yield from _twemproxy(upstream, listeners, place)
        if upstream.login is not None:
            yield from _login(upstream.login, upstream, place)
            yield from _token(upstream.login, upstream, listeners, place)


def _which(settings: Settings) -> Iterator[Finding]:
    if settings.upstream is not None and "upstreams" in settings.model_fields_set:
        message = "stands beside upstream; keep one: upstream for a single one, upstreams for several with names"
        yield Finding(("upstreams",), message, about=_BOTH)
    elif not settings.all_upstreams and "upstreams" in settings.model_fields_set:
        yield Finding(("upstreams",), 'must not be empty, such as {one: {address: "127.0.0.1:11211"}}', about=_BOTH)
    elif not settings.all_upstreams:
        message = 'is required, such as {address: "127.0.0.1:11211"}; or upstreams, for several with names'
        yield Finding(("upstream",), message, about=_BOTH)


def _reached(listener: Listener, settings: Settings, place: Place) -> Iterator[Finding]:
    known = settings.upstreams
    if listener.upstream is not None:
        if settings.upstream is not None:
            yield Finding(place, "is for several upstreams, and there is the single upstream; take it out", about=_BOTH)
        elif known and listener.upstream not in known:
            message = f'there is no upstream "{listener.upstream}"; {suggestion(listener.upstream, known)}'
            yield Finding(place, message, about=_BOTH)
    elif len(known) > 1 and settings.upstream is None:
        message = f"is required with several upstreams; known are: {', '.join(sorted(known))}"
        yield Finding(place, message, about=(place, *_BOTH))


def _listeners(settings: Settings, upstream: str) -> dict[str, Listener]:
    """Whose clients reach it, as far as they say so: who is left out is told by `_reached`."""
    single = len(settings.all_upstreams) == 1
    return {
        name: listener
        for name, listener in settings.listeners.items()
        if listener.upstream == upstream or (listener.upstream is None and single)
    }


def _encryption(upstream: Upstream, place: Place) -> Iterator[Finding]:
    tls, address = (*place, "tls"), (*place, "address")
    if upstream.tls is not None:
        yield from _tls(upstream.tls, upstream, tls, address)
    elif not upstream.address.is_loopback and not upstream.plaintext:
        message = (
            f"{upstream.address} is not loopback and has no TLS: everything would cross the network in clear text; "
            "add tls (ca), or plaintext: true if that is really meant"
        )
        yield Finding(address, message, about=(tls, (*place, "plaintext")))


def _tls(tls: UpstreamTls, upstream: Upstream, place: Place, address: Place) -> Iterator[Finding]:
    if isinstance(upstream.address, UnixAddress) and tls.server_name is None:
        message = "is required with a unix socket, which has no host that the certificate could be for"
        yield Finding((*place, "server_name"), message, about=(address,))
    if tls.certificate is not None and tls.key is None:
        message = "needs key, the certificate's private key"
        yield Finding((*place, "certificate"), message, about=((*place, "key"),))
    if tls.key is not None and tls.certificate is None:
        message = "needs certificate, which the key belongs to"
        yield Finding((*place, "key"), message, about=((*place, "certificate"),))


def _login(login: UpstreamLogin, upstream: Upstream, place: Place) -> Iterator[Finding]:
    at, tls = (*place, "login"), (*place, "tls")
    mechanism, method = (*at, "mechanism"), (*at, "method")
    if login.method == "sasl" and login.mechanism is None:
        message = "is required with method: sasl, such as SCRAM-SHA-256; nothing is chosen from what upstream offers"
        yield Finding(mechanism, message, about=(method,))
        return
    if login.method == "token" and login.mechanism is not None:
        yield Finding(mechanism, "is SASL's, and the method is token; take it out", about=(method,))
        return
    if login.mechanism == "EXTERNAL":
        if upstream.tls is None or upstream.tls.certificate is None:
            message = "EXTERNAL needs tls.certificate and tls.key: upstream knows us by that certificate"
            yield Finding(mechanism, message, about=((*tls, "certificate"),))
        for key in ("username", "password_file", "password_environment"):
            if getattr(login, key) is not None:
                message = "EXTERNAL has neither name nor password, only the certificate; take this out"
                yield Finding((*at, key), message, about=(mechanism,))
        return
    if login.mechanism is not None and login.mechanism.endswith("-PLUS") and upstream.tls is None:
        message = f"{login.mechanism} needs tls, whose certificate the login is bound to"
        yield Finding(mechanism, message, about=(tls,))
    yield from _name_and_password(login, at)
    encrypted = upstream.tls is not None or upstream.address.is_loopback
    if login.sends_password and not encrypted and not upstream.plaintext_passwords:
        message = (
            f"{login.mechanism or 'token'} would send the password over the network in clear text; "
            "add tls, or plaintext_passwords: true if that is really meant"
        )
        about = (tls, (*place, "address"), (*place, "plaintext_passwords"), method, mechanism)
        yield Finding(mechanism if login.mechanism else method, message, about=about)


def _name_and_password(login: UpstreamLogin, at: Place) -> Iterator[Finding]:
    told = ((*at, "method"), (*at, "mechanism"))
    if login.username is None:
        yield Finding((*at, "username"), "is required: whom to log in as", about=told)
    elif problem := credentials_problem("text", Credentials(login.mechanism, login.username, "a password")):
        yield Finding((*at, "username"), problem, about=told)
    places = (*at, "password_file"), (*at, "password_environment")
    if login.password_file is None and login.password_environment is None:
        message = "needs password_file or password_environment, where the password is to be found"
        yield Finding(at, message, about=(*told, *places))
    elif login.password_file is not None and login.password_environment is not None:
        yield Finding(places[1], "stands beside password_file; keep one of them", about=places)


def _token(login: UpstreamLogin, upstream: Upstream, listeners: dict[str, Listener], place: Place) -> Iterator[Finding]:
    if login.method != "token":
        return
    at, protocol = (*place, "login", "method"), (*place, "protocol")
    if upstream.protocol == "binary":
        message = "token is the text protocol's login; write protocol: text, or use sasl"
        yield Finding(at, message, about=(protocol,))
    elif upstream.protocol == "same":
        binary = sorted(name for name, listener in listeners.items() if "binary" in listener.protocols)
        if binary:
            message = (
                f"token is the text protocol's login, and listeners.{binary[0]} takes binary too; "
                "write protocol: text here, or protocols: [text] there"
            )
            about = (protocol, *(("listeners", name, key) for name in binary for key in ("protocols", "upstream")))
            yield Finding(at, message, about=about)


def _twemproxy(upstream: Upstream, listeners: dict[str, Listener], place: Place) -> Iterator[Finding]:
    at = (*place, "engine")
    if upstream.protocol == "binary":
        yield Finding((*place, "protocol"), "twemproxy speaks the text protocol alone; take this out", about=(at,))
    if upstream.login is not None:
        yield Finding((*place, "login"), "twemproxy has no logins; take this out", about=(at,))
    for name, listener in listeners.items():
        if "binary" in listener.protocols:
            message = f"twemproxy speaks the text protocol alone; write protocols: [text] in listeners.{name}"
            places = (("listeners", name, "protocols"), ("listeners", name, "upstream"))
            yield Finding(at, message, about=places)
