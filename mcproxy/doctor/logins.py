"""Does a login work, and is what is wrong refused? The logins of the user that was named, and then one with a made-up
name and password.

The proxy's throttle counts that one against this machine's address, and a user who has not been here before shares it.
So it comes last, and not at all where another has failed just now. What the throttle refuses it has not checked: that
is no verdict on a password.
"""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import trio
from cryptography.hazmat.primitives.serialization import Encoding

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.login import LoginRefused, UpstreamConfused, credentials_problem, upstream_login
from mcproxy.config.addresses import UnixAddress
from mcproxy.config.certificate_files import UNREADABLE, load_certificates
from mcproxy.config.schema import ListenerTls
from mcproxy.doctor.asking import probing_context
from mcproxy.doctor.certificates import file_problem
from mcproxy.doctor.deployment import Deployment, status_remedy
from mcproxy.doctor.doors import Door, doors
from mcproxy.doctor.running_status import failed_logins, running_status
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok
from mcproxy.relay.obstacle import NotOpened
from mcproxy.relay.secured import Connection, Secured, socket_of
from mcproxy.server.authenticator import WRONG
from mcproxy.server.dialogue import LoginDialogue, connect, secure
from mcproxy.server.streams import receive, send_all, send_plain
from mcproxy.server.upstream_logins import UpstreamLogins

PATIENCE = 5.0
"""Seconds for a whole login."""
APART = 30.0
"""Seconds between two wrong logins from one address. The throttle halves its count within a minute and minds five: so
those of doctors that follow upon one another leave room for somebody's slip."""
_STEPS = 16
_LATER = "run this again in some minutes: after many wrong logins the proxy takes its time"
_OVERLONG = b"get " + b"k" * 300 + b"\r\n"
_CONTROL = b"get mcproxy\x01doctor\r\n"


class _Shown(NamedTuple):
    """The client certificate of the command line."""

    certificate: Path | None
    key: Path | None


class _Impostor(Exception):
    """What listens there is not known to have the certificate that it should: no password goes to it."""


async def logins(deployment: Deployment) -> list[Result]:
    """On every listener that takes a password: the named user's login; and once a login that nobody has."""
    shown = _shown(deployment)
    able = [(door, how) for door in doors(deployment) if door.open_to_us and (how := _way(door, shown)) is not None]
    if not able:
        remedy = "where a client certificate is required, give one: --certificate FILE --key FILE"
        return [note("logins", "no listener takes a password from here", remedy)]
    results: list[Result] = []
    asked = deployment.asked
    if asked.user is None or asked.password is None:
        remedy = "give --user NAME --password-stdin"
        results.append(note("logins", "whether a right password gets in was not tried, as none was given", remedy))
    else:
        for door, (protocol, mechanism) in _one_for_each(able):
            credentials = Credentials(mechanism, asked.user, asked.password)
            results += await _right(deployment, door, protocol, credentials)
    return [*results, await _wrong(deployment, *able[0])]


def _one_for_each(able: list[tuple[Door, tuple[str, str | None]]]) -> Iterator[tuple[Door, tuple[str, str | None]]]:
    seen = set()
    for door, how in able:
        if door.name not in seen:
            seen.add(door.name)
            yield door, how


def _way(door: Door, shown: _Shown) -> tuple[str, str | None] | None:
    """Protocol and mechanism to log in with; the mechanism is None for a token, all of it for a listener without any.

    SCRAM shows nobody the password. PLAIN and tokens go over TLS, loopback and unix sockets alone.
    """
    listener = door.listener
    if shown.certificate is None and _wants_certificate(listener.tls):
        return None
    mechanisms = listener.mechanisms if "sasl" in listener.authentication else []
    safe = listener.tls is not None or door.address.is_loopback
    protocol = "binary" if "binary" in listener.protocols else "text"
    for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-1"):
        if mechanism in mechanisms:
            return protocol, mechanism
    if safe and "token" in listener.authentication and "text" in listener.protocols:
        return "text", None
    if safe and "PLAIN" in mechanisms:
        return protocol, "PLAIN"
    return None


def _wants_certificate(tls: ListenerTls | None) -> bool:
    return tls is not None and tls.client_ca is not None and tls.client_certificate == "required"


async def _wrong(deployment: Deployment, door: Door, how: tuple[str, str | None]) -> Result:
    protocol, mechanism = how
    name = f"mcproxy-doctor-{secrets.token_hex(4)}"
    what = f"{door.address}: a made-up name with a made-up password"
    began = time.time()
    if deployment.status is None:
        # Each wrong login could be the one that slows down whoever shares this address.
        why = f"{what} was not tried, as it can't be seen whether others have just failed: {deployment.silence}"
        return could_not_tell(door.subject, why, status_remedy(deployment))
    if failed_logins(deployment.status, _source(door), began - APART):
        seen = f"{what} was not tried: a login from here has just failed, and more would slow down others"
        return note(door.subject, seen, f"run this again in {APART:g} s")
    try:
        credentials = Credentials(mechanism, name, secrets.token_hex(16))
        connection = await _log_in(door, protocol, credentials, _shown(deployment))
    except LoginRefused:
        if why := await _unchecked(deployment, door, began):
            return could_not_tell(door.subject, f"{what} is refused{why}", _LATER)
        return ok(door.subject, f"{what} is refused ({_named(mechanism)})")
    except _Impostor as shown:
        return could_not_tell(door.subject, f"{door.address} {shown}: no login was tried")
    except (UpstreamConfused, NotOpened, OSError, trio.TooSlowError) as error:
        return could_not_tell(door.subject, f"{door.address}: a wrong login is not answered: {_said(error)}", _LATER)
    socket_of(connection).close()
    seen = f"{what} is let in"
    return finding(door.subject, seen, "see whom saslauthd asks: its PAM service must not take everybody")


async def _right(deployment: Deployment, door: Door, protocol: str, credentials: Credentials) -> list[Result]:
    what = f"{door.address}: the login of {credentials.username} by {_named(credentials.mechanism)}"
    if problem := credentials_problem(protocol, credentials):
        return [could_not_tell(door.subject, f"{what} can't be tried: {problem}")]
    began = time.time()
    try:
        connection = await _log_in(door, protocol, credentials, _shown(deployment))
    except LoginRefused as refused:
        if why := await _unchecked(deployment, door, began):
            return [could_not_tell(door.subject, f"{what} is refused{why}", _LATER)]
        return [finding(door.subject, f"{what} is refused: {refused}", 'see "mcproxy user verify", and the log')]
    except _Impostor as shown:
        return [could_not_tell(door.subject, f"{what} was not tried: {door.address} {shown}")]
    except (UpstreamConfused, NotOpened, OSError, trio.TooSlowError) as error:
        return [could_not_tell(door.subject, f"{what}: {_said(error)}", _LATER)]
    results = [ok(door.subject, f"{what} works")]
    try:
        if protocol == "text":
            results += await _wrong_keys(door, connection)
    except (OSError, trio.TooSlowError) as error:
        results.append(could_not_tell(door.subject, f"{door.address}, after the login: {_said(error)}"))
    finally:
        socket_of(connection).close()
    return results


async def _unchecked(deployment: Deployment, door: Door, since: float) -> str:
    """Words for why a login that was refused may not have been checked, as the proxy tells it; empty where it was. A
    client is told the same either way."""
    asked = deployment.asked
    status, silence = await running_status(deployment.settings, asked.certificate, asked.key)
    if status is None:
        return f", and whether it was checked can't be seen: {silence}"
    reasons = failed_logins(status, _source(door), since)
    return next((f" unchecked: {reason}" for reason in reasons if not reason.startswith(WRONG)), "")


def _source(door: Door) -> str:
    """What the proxy calls where we come from."""
    return "unix" if isinstance(door.address, UnixAddress) else door.comes_from


def _shown(deployment: Deployment) -> _Shown:
    return _Shown(deployment.asked.certificate, deployment.asked.key)


async def _wrong_keys(door: Door, connection: Connection) -> list[Result]:
    """Raises OSError, trio.TooSlowError."""
    results: list[Result] = []
    for what, question in (("a key with a control character", _CONTROL), ("a key of 300 bytes", _OVERLONG)):
        if question is _OVERLONG and door.listener.overlong_keys == "digest":
            continue
        answer = b""
        with trio.fail_after(PATIENCE):
            await send_all(connection, question)
            while b"\n" not in answer and (data := await receive(connection, 4096)):
                answer += data
        if answer and not answer.startswith((b"CLIENT_ERROR", b"ERROR")):
            seen = f"{door.address}: {what} is taken"
            results.append(finding(door.subject, seen, "see what listens there, and restart mcproxy"))
        else:
            results.append(ok(door.subject, f"{door.address}: {what} is refused"))
        if not answer:
            break
    return results


async def _log_in(door: Door, protocol: str, credentials: Credentials, shown: _Shown) -> Connection:
    """Raises LoginRefused, UpstreamConfused, NotOpened, OSError, trio.TooSlowError, and _Impostor."""
    upstreams = UpstreamLogins()
    with trio.fail_after(PATIENCE) as clock:
        sock = await connect(door.address)
        connection: Connection = sock
        try:
            if door.preamble:
                await send_plain(sock, door.preamble)
            if door.listener.tls is not None:
                connection = await _secured(door.listener.tls, sock, shown)
            login = await upstreams.in_thread(clock, upstream_login, protocol, credentials, None)
            dialogue = LoginDialogue(connection, login, upstreams)
            for _ in range(_STEPS):
                await dialogue.step(clock)
                if dialogue.done:
                    return connection
        except BaseException:
            sock.close()
            raise
    sock.close()
    raise UpstreamConfused("it has no end")


async def _secured(tls: ListenerTls, sock: socket.socket, shown: _Shown) -> Secured:
    """TLS to whoever has the key of the very certificate that is in the listener's file. Raises OSError, _Impostor."""
    secured = await secure(sock, probing_context(certificate=shown.certificate, key=shown.key), "mcproxy")
    try:
        certificates = await trio.to_thread.run_sync(load_certificates, tls.certificate, abandon_on_cancel=True)
    except (OSError, *UNREADABLE) as error:
        problem = file_problem(tls.certificate, error)
        raise _Impostor(f"can't be compared with its file's certificate: {problem}") from None
    if secured.certificate() != certificates[0].public_bytes(Encoding.DER):
        raise _Impostor("shows another certificate than its file")
    return secured


def _named(mechanism: str | None) -> str:
    return "token" if mechanism is None else mechanism


def _said(error: BaseException) -> str:
    if isinstance(error, trio.TooSlowError):
        return f"no answer within {PATIENCE:g} s"
    return str(error) or type(error).__name__
