"""The admin port: who reaches it, and what it says to whom."""

from __future__ import annotations

from functools import partial

import trio

from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.config.schema import Admin
from mcproxy.doctor.asking import Answer, Outcome, ask, probing_context
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok

_SUBJECT, _HEALTH = "admin port", "health port"
_TELLING = ("/metrics", "/status.json")
_MOST_ADDRESSES = 64
_REFUSALS = (401, 403, 421)
_FOREIGN_HOST = "mcproxy-doctor.invalid"  # RFC 6761 section 6.4: a name that nobody has


async def reach(deployment: Deployment) -> list[Result]:
    """Who can read it: from which addresses, without token or certificate, and by a foreign Host header."""
    admin = deployment.settings.admin
    if isinstance(admin.bind, UnixAddress):
        return [ok(_SUBJECT, f"{admin.bind}, which no network reaches")]
    guarded = admin.token_file is not None or (admin.tls is not None and admin.tls.client_ca is not None)
    results = await _elsewhere(deployment, admin.bind)
    bare = await _get(admin.bind, "/metrics", deployment)
    if _status(bare) == 200 and guarded:
        seen = f"{admin.bind} serves /metrics to whoever asks, though a token or certificate is configured"
        results.append(finding(_SUBJECT, seen, "restart mcproxy"))
    elif _status(bare) == 200 and not admin.bind.is_loopback:
        seen = f"{admin.bind} serves /metrics to whoever reaches it"
        results.append(finding(_SUBJECT, seen, "bind it to 127.0.0.1, or give it tls and a token_file"))
    elif _status(bare) == 200:
        remedy = "admin.token_file, or a unix socket, keeps others of this machine out"
        results.append(note(_SUBJECT, f"every process of this machine can read {admin.bind}", remedy))
    elif _status(bare) in _REFUSALS or _wants_certificate(admin, bare):
        results.append(ok(_SUBJECT, f"{admin.bind} serves /metrics to nobody without a token or certificate"))
    else:
        said = bare.detail or f"it answers {bare.line!r}, as no admin port does"
        results.append(could_not_tell(_SUBJECT, f"{admin.bind}: {said}", "is it mcproxy that listens there?"))
    if bare.outcome is Outcome.ANSWERED and _status(bare) == 200:
        results.append(await _foreign_host(admin.bind, deployment))
    return results


def _wants_certificate(admin: Admin, answer: Answer) -> bool:
    """Whether it closed the connection for want of a client certificate: as an alert, or as TLS 1.3 has it, after a
    handshake that our side takes for done."""
    wanted = admin.tls is not None and admin.tls.client_ca is not None
    closed = answer.outcome in (Outcome.TLS_FAILED, Outcome.CLOSED) and not answer.data
    return wanted and closed and (answer.certificate is not None or "ALERT" in answer.detail)


async def _elsewhere(deployment: Deployment, bound: TcpAddress) -> list[Result]:
    """Whether it answers on addresses that are not configured, as a second proxy's would."""
    if bound.is_loopback or bound.host in ("0.0.0.0", "::"):  # noqa: S104 - what is configured, and not bound here
        addresses = [TcpAddress(one, bound.port) for one in deployment.addresses if not TcpAddress(one, 0).is_loopback]
    else:
        addresses = []
    answers: dict[str, Answer] = {}

    async def try_one(address: TcpAddress) -> None:
        answers[str(address)] = await _get(address, "/metrics", deployment)

    async with trio.open_nursery() as nursery:
        for address in addresses[:_MOST_ADDRESSES]:
            nursery.start_soon(partial(try_one, address))
    open_ones = [address for address, answer in sorted(answers.items()) if _status(answer) == 200]
    if not open_ones:
        return []
    remedy = "bind admin to 127.0.0.1, or give it tls and a token_file"
    return [finding(_SUBJECT, f"anybody on the network can read {', '.join(open_ones)}", remedy)]


async def _foreign_host(bound: TcpAddress, deployment: Deployment) -> Result:
    answer = await _get(bound, "/status.json", deployment, host=_FOREIGN_HOST)
    if _status(answer) == 200:
        seen = f"{bound} answers to a Host header that is not its own"
        return finding(_SUBJECT, seen, "update mcproxy", "a web page can then have a browser on this machine read it")
    return ok(_SUBJECT, f"{bound} refuses a Host header that is not its own")


async def health(deployment: Deployment) -> list[Result]:
    """Whether health_bind says no more than it should."""
    bound = deployment.settings.admin.health_bind
    if bound is None:
        return [ok(_HEALTH, "there is none")]
    results = []
    for path in _TELLING:
        answer = await ask(bound, _request(path, "localhost"), enough=lambda data: b"\r\n\r\n" in data)
        if answer.outcome is not Outcome.ANSWERED:
            return [could_not_tell(_HEALTH, f"{bound}: {answer.detail}", "is mcproxy running?")]
        if _status(answer) == 200:
            seen = f"{bound} serves {path}, and should say nothing but whether mcproxy is well"
            results.append(finding(_HEALTH, seen, "see what listens there (ss -ltnp), and restart mcproxy"))
    return results or [ok(_HEALTH, f"{bound} serves /healthz and /readyz alone")]


async def _get(address: TcpAddress, path: str, deployment: Deployment, host: str = "localhost") -> Answer:
    """Without token and certificate."""
    tls = probing_context() if deployment.settings.admin.tls is not None else None
    return await ask(address, _request(path, host), tls=tls, enough=lambda data: b"\r\n\r\n" in data)


def _request(path: str, host: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


def _status(answer: Answer) -> int | None:
    words = answer.data[:64].split(b" ", 2)
    is_status = len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit()
    return int(words[1]) if is_status else None
