"""What is examined: the configuration as it is on disk, what runs by it, and what was asked of the doctor."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import trio

from mcproxy.auth.users import Users
from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.config.load import Reading
from mcproxy.config.material import Material, named_files, read_files
from mcproxy.config.problems import ConfigurationError, dotted
from mcproxy.config.schema import Settings, Upstream
from mcproxy.config.source import read_text
from mcproxy.doctor.addresses_here import is_loopback, local_addresses
from mcproxy.doctor.names import Hosts, resolved
from mcproxy.doctor.running_status import Status, running_status
from mcproxy.doctor.sockets_here import (
    Bound,
    BoundPath,
    Process,
    bound_paths,
    bound_sockets,
    listening_process,
    processes,
)
from mcproxy.doctor.upstream_facts import UpstreamFacts, upstream_facts

_LISTENER_PATIENCE = 1.0
"""Seconds that a connection to a unix socket may take."""
_MACHINE_PATIENCE = 20.0
"""Seconds for this machine's tables, and all unix sockets."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line. `sources` are further addresses of this machine to come from; `certificate` and `key` are shown
    to whoever asks for a client certificate."""

    config: Path
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    sources: tuple[str, ...] = ()
    certificate: Path | None = None
    key: Path | None = None


class Refusal(NamedTuple):
    """What a start by this user would stop at. `unreadable`: a file that this user may not read; another may."""

    problem: str
    unreadable: bool = False


@dataclass(frozen=True)
class Deployment:
    """Everything that several examinations need. `refusals` is what the next start or reload would stop at, `status`
    what the running proxy says of itself (/status.json), or else `silence` why it doesn't."""

    asked: Asked
    material: Material
    refusals: tuple[Refusal, ...]
    status: Status | None
    silence: str
    upstreams: dict[str, UpstreamFacts]
    addresses: tuple[str, ...]
    bound: tuple[Bound, ...]
    processes: tuple[Process, ...]
    """Those that may be seen, and that have a bound socket or are called memcached."""
    hosts: Hosts = field(default_factory=dict)
    """The addresses of upstreams' hosts."""
    paths: tuple[BoundPath, ...] = ()
    listening: Mapping[str, int] = field(default_factory=dict)
    """By the path of the proxy's unix sockets: the process that the kernel names there."""

    @property
    def settings(self) -> Settings:
        return self.material.settings

    @property
    def users(self) -> Users:
        return self.material.users

    def is_here(self, upstream: Upstream) -> bool:
        """Whether an upstream's address is one of this machine. What can't be resolved is not."""
        if not isinstance(upstream.address, TcpAddress) or upstream.address.is_loopback:
            return True
        plain = {address.partition("%")[0] for address in self.addresses}
        found = [one.partition("%")[0] for one in self.hosts.get(upstream.address.host, ())]
        return any(one in plain or is_loopback(one) for one in found)

    def holder(self, address: TcpAddress | UnixAddress) -> Process | None:
        """The process that listens there, if it may be seen. systemd may hold the same socket for it."""
        if isinstance(address, UnixAddress):
            inodes = self._inodes(address.path)
        else:
            wanted = ("tcp", address.host, address.port)
            inodes = {one.inode for one in self.bound if (one.kind, one.address, one.port) == wanted}
        holders = [process for process in self.processes if process.inodes & inodes]
        return min(holders, key=lambda process: (process.name == "systemd", process.pid), default=None)

    def _inodes(self, path: str) -> set[int]:
        """Of the sockets that have this path, those that are held by the process which the kernel names: a table that
        others can write into is not enough."""
        listening = self.listening.get(path)
        held = next((process.inodes for process in self.processes if process.pid == listening), frozenset[int]())
        return {one.inode for one in self.paths if one.path == path and one.inode in held}


def status_remedy(deployment: Deployment) -> str:
    """What to do where there is no status."""
    tls = deployment.settings.admin.tls
    if tls is not None and tls.client_ca is not None and deployment.asked.certificate is None:
        return "the admin port asks for a certificate: give --certificate FILE --key FILE"
    return "see that it runs, and that the files of its section admin can be read"


def read_material(path: Path) -> tuple[Material, tuple[Refusal, ...]]:
    """What is on disk, and what a start would refuse about its files.

    Raises ConfigurationError if nothing can be made of the configuration itself. A file that everybody can read, say,
    is no reason not to look at the rest of a proxy that runs.
    """
    text = read_text(path)
    try:
        return Reading(text, path).material(), ()
    except ConfigurationError as refused:
        alone = Reading(text, path, files={}, check_machine=False, stand_in_key=lambda _: None).material()
        files = read_files(alone.settings)
        material = Reading(text, path, files=files, check_machine=False, stand_in_key=lambda _: None).material()
        closed = {dotted(place) for place, path in named_files(alone.settings) if _is_closed_to_us(path)}
        return material, tuple(Refusal(str(problem), problem.key in closed) for problem in refused.problems)


def _is_closed_to_us(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError as error:
        return isinstance(error, PermissionError)
    return False


async def look_at(asked: Asked, material: Material, refusals: tuple[Refusal, ...]) -> Deployment:
    """Gather what examinations share. Raises OSError if this machine's own tables can't be read."""
    settings = material.settings
    try:
        with trio.fail_after(_MACHINE_PATIENCE):
            machine = await trio.to_thread.run_sync(_machine, settings, abandon_on_cancel=True)
    except trio.TooSlowError:
        raise TimeoutError(f"this machine's tables of sockets were not read within {_MACHINE_PATIENCE:g} s") from None
    addresses, bound, paths, listening, holders = machine
    hosts = await resolved(settings)
    status: Status | None = None
    silence = ""
    upstreams: dict[str, UpstreamFacts] = {}

    async def gather_status() -> None:
        nonlocal status, silence
        status, silence = await running_status(settings, asked.certificate, asked.key)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(gather_status)
        upstreams.update(await upstream_facts(settings, hosts))
    return Deployment(
        asked, material, refusals, status, silence, upstreams, addresses, bound, holders, hosts, paths, listening
    )


def _machine(
    settings: Settings,
) -> tuple[tuple[str, ...], tuple[Bound, ...], tuple[BoundPath, ...], dict[str, int], tuple[Process, ...]]:
    bound, paths = tuple(bound_sockets()), tuple(bound_paths())
    own = [address for listener in settings.listeners.values() for address in listener.bind]
    unix = {one.path: None for one in (settings.admin.bind, *own) if isinstance(one, UnixAddress)}
    found = {path: listening_process(path, _LISTENER_PATIENCE) for path in unix}
    listening = {path: pid for path, pid in found.items() if pid is not None}
    inodes = {one.inode for one in bound} | {one.inode for one in paths}
    holders = tuple(one for one in processes() if one.inodes & inodes or one.name == "memcached")
    return tuple(local_addresses()), bound, paths, listening, holders
