"""Can memcached be reached around the proxy? Over the network, by UDP, and through its unix socket."""

from __future__ import annotations

from collections.abc import Iterator

import trio

from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.config.schema import Upstream
from mcproxy.doctor.addresses_here import is_loopback
from mcproxy.doctor.asking import Answer, Outcome, ask
from mcproxy.doctor.deployment import Deployment
from mcproxy.doctor.gets import BINARY_GET, TEXT_GET
from mcproxy.doctor.upstream_facts import engine_of
from mcproxy.doctor.verdicts import Result, could_not_tell, finding, note, ok
from mcproxy.wire import binary_operations as operations

_MOST_ADDRESSES = 64
"""Addresses of this machine that are tried; a host of containers may have thousands."""
_LOCAL_ONLY = "let memcached listen on a unix socket (-s PATH -a 0700), or on loopback alone (-l 127.0.0.1)"


async def around(deployment: Deployment) -> list[Result]:
    """Over TCP: what memcached says that it is bound to, what the kernel says, and what a connection says."""
    results = []
    for name, upstream in deployment.settings.all_upstreams.items():
        engine = engine_of(upstream, deployment.upstreams[name])
        if engine != "memcached" and upstream.address.is_loopback:
            seen = f"its engine is {engine}"
            results.append(note(f"upstream {name}", seen, "run this where its memcached is"))
        elif isinstance(upstream.address, UnixAddress):
            results.append(_on_socket(deployment, name, upstream.address))
        else:
            here = deployment.is_here(upstream)
            found = await _over_network(deployment, name, upstream.address, here)
            results += [one for one in found if one is not None] or [_kept_in(deployment, name, upstream)]
    return results


def _on_socket(deployment: Deployment, name: str, address: UnixAddress) -> Result:
    subject = f"upstream {name}"
    bound = _bound_by_process(deployment, name)
    if bound:
        return finding(subject, f"besides {address} it listens on {', '.join(bound)}", _LOCAL_ONLY)
    if deployment.upstreams[name].settings.get("domain_socket") not in (None, "NULL"):
        return ok(subject, f"listens on {address} and on no port")
    return could_not_tell(subject, f"it does not say where it listens: {deployment.upstreams[name].why_silent}")


def _kept_in(deployment: Deployment, name: str, upstream: Upstream) -> Result:
    inter = deployment.upstreams[name].settings.get("inter")
    subject = f"upstream {name}"
    if deployment.upstreams[name].problem:
        return could_not_tell(
            subject, f"{upstream.address} does not say where it listens: {deployment.upstreams[name].why_silent}"
        )
    seen = f"{upstream.address}, which answers at no other address of this machine"
    if upstream.login is not None or upstream.tls is not None:
        return ok(subject, f"{seen}, and admits nobody without the login or TLS that the proxy uses")
    if inter is None:
        return ok(subject, seen)
    remedy = "a unix socket with mode 0700 would leave the proxy's user alone (-s PATH -a 0700)"
    return note(subject, f"{seen} (-l {inter}); every process of this machine reaches it", remedy)


async def _over_network(deployment: Deployment, name: str, upstream: TcpAddress, here: bool) -> list[Result | None]:
    subject, port = f"upstream {name}", upstream.port
    if not here:
        known = deployment.hosts.get(upstream.host)
        if not known:
            return [could_not_tell(subject, f"the name {upstream.host} can't be resolved", "see /etc/resolv.conf")]
        return [_remote(subject, upstream, await _stranger(deployment, name, TcpAddress(known[0], port)))]
    own = {(one.host, one.port) for one in _own_addresses(deployment)}
    others = [one for one in deployment.addresses if not is_loopback(one.partition("%")[0])]
    answers: dict[TcpAddress, Answer] = {}

    async def try_one(address: TcpAddress) -> None:
        answers[address] = await _stranger(deployment, name, address)

    async with trio.open_nursery() as nursery:
        for one in others[:_MOST_ADDRESSES]:
            if (one, port) not in own:
                nursery.start_soon(try_one, TcpAddress(one, port))
    bound = _bound_by_process(deployment, name)
    settings = deployment.upstreams[name].settings
    if not bound and settings.get("inter") == "NULL" and settings.get("domain_socket", "NULL") == "NULL":
        bound = ["every address (its settings have no -l)"]
    answered = [str(address) for address, answer in answers.items() if _is_open(answer)]
    if bound or answered:
        where = f"it listens on {', '.join(bound)}" if bound else "it is bound beyond loopback"
        how = f"; {', '.join(answered)} answers whoever asks, without a login" if answered else "; it asks for a login"
        reached = any(answer.outcome is not Outcome.UNREACHABLE for answer in answers.values())
        return [finding(subject, where + (how if reached else "; nothing was reached from here"), _LOCAL_ONLY)]
    return [_local(subject, address, answer) for address, answer in answers.items()]


async def _stranger(deployment: Deployment, name: str, address: TcpAddress) -> Answer:
    """What somebody gets who asks without TLS and without a login."""
    if deployment.settings.all_upstreams[name].protocol == "binary":
        return await ask(address, BINARY_GET, enough=lambda data: len(data) >= operations.HEADER_LENGTH)
    return await ask(address, TEXT_GET)


def _is_open(answer: Answer) -> bool:
    """Whether a get was answered: a hit or a miss."""
    if answer.data[:1] == bytes([operations.RESPONSE_MAGIC]) and len(answer.data) >= operations.HEADER_LENGTH:
        return operations.HEADER.unpack_from(answer.data)[5] in (operations.SUCCESS, operations.KEY_NOT_FOUND)
    return answer.data.startswith((b"END\r\n", b"VALUE "))


def _local(subject: str, address: TcpAddress, answer: Answer) -> Result | None:
    """Of a port that isn't known to be upstream's; None where nobody listens."""
    if answer.outcome is Outcome.UNREACHABLE:
        return None
    seen = f"at {address} something listens; it did not answer a get"
    if answer.outcome is Outcome.SILENT:
        return could_not_tell(subject, seen, "see what that is: ss -ltnp")
    return note(subject, seen, "see what that is: ss -ltnp")


def _remote(subject: str, address: TcpAddress, answer: Answer) -> Result:
    if _is_open(answer):
        remedy = "give it a login and TLS (-S -Z), and a firewall; or put it on this machine, on a unix socket"
        return finding(subject, f"{address}, on another machine, answers whoever asks: no TLS, no login", remedy)
    if answer.outcome in (Outcome.UNREACHABLE, Outcome.SILENT):
        return could_not_tell(subject, f"{address}, on another machine: {answer.detail}")
    return ok(subject, f"{address}, on another machine, refuses whoever has no TLS or no login")


def _own_addresses(deployment: Deployment) -> Iterator[TcpAddress]:
    admin = deployment.settings.admin
    listeners = [address for listener in deployment.settings.listeners.values() for address in listener.bind]
    for address in (*listeners, admin.bind, admin.health_bind):
        if isinstance(address, TcpAddress):
            yield address


def _bound_by_process(deployment: Deployment, name: str) -> list[str]:
    """Where upstream's process is bound beyond loopback, as far as it may be looked into."""
    pid = deployment.upstreams[name].pid
    # It may have counted in another namespace: then that number is somebody else's here.
    process = next((one for one in deployment.processes if one.pid == pid and one.name == "memcached"), None)
    inodes = process.inodes if process is not None else frozenset()
    return [str(one) for one in deployment.bound if one.inode in inodes and one.beyond_loopback]


def _why_not(deployment: Deployment, name: str) -> str:
    return deployment.upstreams[name].problem or "it refuses stats settings"
