"""What the running listeners do with TLS: which certificate they show, which versions they take, and whether at all."""

from __future__ import annotations

import ssl
from pathlib import Path

import trio
from cryptography.hazmat.primitives.serialization import Encoding

from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.config.certificate_files import UNREADABLE, load_certificates
from mcproxy.config.schema import Listener, ListenerTls, Upstream
from mcproxy.doctor.asking import Answer, Outcome, ask, probing_context
from mcproxy.doctor.certificates import file_problem
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.doors import Door, doors, may_be_elsewhere
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok

_NAMES = {ssl.TLSVersion.TLSv1_1: "TLS 1.1", ssl.TLSVersion.TLSv1_2: "TLS 1.2"}
_BELOW = {"1.2": (ssl.TLSVersion.TLSv1_1,), "1.3": (ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2)}


async def tls(deployment: Deployment) -> list[Result]:
    """For each address with TLS: the certificate that is shown, the versions below the minimum, and no TLS at all."""
    results: list[Result] = []

    async def look(door: Door, settings: ListenerTls) -> None:
        results.extend(await _look(door, settings))

    async with trio.open_nursery() as nursery:
        for door in doors(deployment):
            if door.listener.tls is not None and door.open_to_us:
                nursery.start_soon(look, door, door.listener.tls)
    return results or [note("TLS", "no listener with TLS can be tried from here")]


async def _look(door: Door, settings: ListenerTls) -> list[Result]:
    results = [await _certificate(door, settings.certificate)]
    for version in _BELOW[settings.minimum_version]:
        results.append(await _older(door, version))
    plain = await ask(door.address, b"version\r\n", preamble=door.preamble)
    if plain.data[:1].isalpha() and plain.outcome is Outcome.ANSWERED:
        seen = f"{door.address} answers without TLS: {plain.line!r}"
        results.append(finding(door.subject, seen, "restart mcproxy; if it stays so, something else listens there"))
    elif plain.outcome is Outcome.UNREACHABLE:
        results.append(could_not_tell(door.subject, f"{door.address}: {plain.detail}", "is mcproxy running?"))
    else:
        results.append(ok(door.subject, f"{door.address} does not speak without TLS"))
    return results


async def _certificate(door: Door, file: Path) -> Result:
    answer = await ask(door.address, b"", tls=probing_context(), preamble=door.preamble)
    if answer.certificate is None:
        return could_not_tell(
            door.subject, f"{door.address} shows no certificate: {answer.detail}", "is mcproxy running?"
        )
    try:
        certificates = await trio.to_thread.run_sync(load_certificates, file, abandon_on_cancel=True)
    except (OSError, *UNREADABLE) as error:
        seen = f"whether {door.address} shows its file's certificate: {file_problem(file, error)}"
        return could_not_tell(door.subject, seen)
    if certificates[0].public_bytes(Encoding.DER) != answer.certificate:
        seen = f"{door.address} shows another certificate than {file} holds"
        remedy = 'run "mcproxy check", and reload: kill -HUP the proxy'
        return finding(door.subject, seen, remedy, "the one that is shown ends some day, whatever the file says")
    return ok(door.subject, f"{door.address} shows the certificate of {file}")


async def _older(door: Door, version: ssl.TLSVersion) -> Result:
    try:
        context = probing_context(version)
    except (ssl.SSLError, ValueError):
        return note(door.subject, f"{_NAMES[version]} could not be tried: this machine's OpenSSL has not got it")
    answer = await ask(door.address, b"", tls=context, preamble=door.preamble)
    if answer.certificate is not None:
        seen = f"{door.address} takes {_NAMES[version]}, and minimum_version says more"
        return finding(door.subject, seen, "restart mcproxy, and see that it is what listens there")
    if answer.outcome is Outcome.TLS_FAILED and answer.detail in ("NO_PROTOCOLS_AVAILABLE", "NO_CIPHERS_AVAILABLE"):
        return note(door.subject, f"{_NAMES[version]} could not be tried: this machine's OpenSSL has not got it")
    if answer.outcome in (Outcome.UNREACHABLE, Outcome.SILENT):
        return could_not_tell(door.subject, f"{door.address}, with {_NAMES[version]}: {answer.detail}")
    return ok(door.subject, f"{door.address} refuses {_NAMES[version]}")


async def clear_passwords(deployment: Deployment) -> list[Result]:
    """Whether a password could cross the network in clear text: what is configured, and what is really offered."""
    results: list[Result] = []
    for name, listener in deployment.settings.listeners.items():
        subject = f"listener {name}"
        asks = [what for what in ("token", "PLAIN") if _takes(listener, what)]
        if listener.tls is not None or not may_be_elsewhere(listener):
            how = "TLS" if listener.tls is not None else "loopback or a unix socket alone"
            results.append(ok(subject, f"passwords come by {how}"))
            continue
        if asks and listener.plaintext_passwords:
            seen = f"{' and '.join(asks)} without TLS (plaintext_passwords: true)"
            results.append(finding(subject, seen, "add tls, or offer SCRAM-SHA-256 alone"))
            continue
        if listener.is_local:
            results.append(_balanced(subject, asks))
            continue
        for door in doors(deployment):
            if door.name == name and door.open_to_us:
                results.append(await _offered(door))
        note_seen = "keys and values cross the network in clear text (plaintext: true)"
        results.append(note(subject, note_seen, "add tls"))
    results += [_upstream(name, upstream, deployment) for name, upstream in deployment.settings.all_upstreams.items()]
    return results


def _balanced(subject: str, asks: list[str]) -> Result:
    """Of a listener on loopback: how clients reach the balancer can't be seen from here."""
    if not asks:
        return ok(subject, "takes no passwords in clear text by its configuration")
    seen = f"{' and '.join(asks)} come by a balancer on this machine: in clear text, unless it speaks TLS with clients"
    return note(subject, seen, "see that it does, or offer SCRAM-SHA-256 alone")


def _upstream(name: str, upstream: Upstream, deployment: Deployment) -> Result:
    """How our own login goes there."""
    subject, login = f"upstream {name}", upstream.login
    if upstream.tls is not None:
        return ok(subject, f"{upstream.address} is spoken to by TLS")
    if deployment.is_here(upstream):
        return ok(subject, f"{upstream.address} is on this machine")
    if login is not None and login.sends_password:
        seen = f"the password for {upstream.address} crosses the network in clear text ({login.mechanism or 'token'})"
        return finding(subject, seen, "add tls to the upstream, or use SCRAM-SHA-256")
    seen = f"keys and values cross the network to {upstream.address} in clear text (plaintext: true)"
    return note(subject, seen, "add tls to the upstream")


def _takes(listener: Listener, what: str) -> bool:
    if what == "token":
        return "token" in listener.authentication
    return "sasl" in listener.authentication and what in listener.mechanisms


async def _offered(door: Door) -> Result:
    if "binary" not in door.listener.protocols or "sasl" not in door.listener.authentication:
        return ok(door.subject, f"{door.address} takes no passwords in clear text by its configuration")
    answer: Answer = await ask(
        door.address, _LIST_MECHANISMS, preamble=door.preamble, enough=lambda data: len(data) >= 24
    )
    if answer.outcome is not Outcome.ANSWERED:
        return could_not_tell(door.subject, f"{door.address} does not tell its mechanisms: {answer.detail}")
    offered = answer.data[24:].decode("ascii", "replace").split()
    local = isinstance(door.address, UnixAddress) or (isinstance(door.address, TcpAddress) and door.address.is_loopback)
    if "PLAIN" in offered and not local:
        seen = f"{door.address} offers PLAIN without TLS"
        return finding(door.subject, seen, "reload mcproxy, and see that the configuration on disk is what runs")
    return ok(door.subject, f"{door.address} offers {', '.join(offered) or 'nothing'} without TLS")


_LIST_MECHANISMS = b"\x80\x20" + bytes(22)
