"""What is examined: the configuration as it is on disk, what runs by it, and what was asked of the doctor."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from mcproxy.auth.users import Users
from mcproxy.config.load import Reading
from mcproxy.config.material import Material, read_files
from mcproxy.config.problems import ConfigurationError
from mcproxy.config.schema import Settings
from mcproxy.config.source import read_text
from mcproxy.doctor.addresses_here import local_addresses
from mcproxy.doctor.sockets_here import Bound, Process, bound_sockets, processes
from mcproxy.doctor.upstream_facts import UpstreamFacts, upstream_facts

_LONGEST_STATUS = 4 * 2**20


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


@dataclass(frozen=True)
class Deployment:
    """Everything that several examinations need. `refusals` is what the next start or reload would stop at, `status`
    what the running proxy says of itself (/status.json), or else `silence` why it doesn't."""

    asked: Asked
    material: Material
    refusals: tuple[str, ...]
    status: dict[str, Any] | None
    silence: str
    upstreams: dict[str, UpstreamFacts]
    addresses: tuple[str, ...]
    bound: tuple[Bound, ...]
    processes: tuple[Process, ...]
    """Those that may be seen, and that have a bound socket or are called memcached."""

    @property
    def settings(self) -> Settings:
        return self.material.settings

    @property
    def users(self) -> Users:
        return self.material.users

    def holder(self, address: str, port: int) -> Process | None:
        """The process that listens there for TCP, if it may be seen. systemd may hold the same socket for it."""
        inodes = {one.inode for one in self.bound if (one.kind, one.address, one.port) == ("tcp", address, port)}
        holders = [process for process in self.processes if process.inodes & inodes]
        return min(holders, key=lambda process: (process.name == "systemd", process.pid), default=None)


def read_material(path: Path) -> tuple[Material, tuple[str, ...]]:
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
        return material, tuple(str(problem) for problem in refused.problems)


async def look_at(asked: Asked, material: Material, refusals: tuple[str, ...]) -> Deployment:
    """Gather what examinations share. Raises OSError if this machine's own tables can't be read."""
    settings = material.settings
    status: dict[str, Any] | None = None
    silence = ""
    upstreams: dict[str, UpstreamFacts] = {}

    async def ask_status() -> None:
        nonlocal status, silence
        status, silence = await trio.to_thread.run_sync(_status, asked, settings, abandon_on_cancel=True)

    async def ask_upstreams() -> None:
        upstreams.update(await upstream_facts(settings))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask_status)
        nursery.start_soon(ask_upstreams)
        addresses, bound, holders = await trio.to_thread.run_sync(_machine)
    return Deployment(asked, material, refusals, status, silence, upstreams, addresses, bound, holders)


def _machine() -> tuple[tuple[str, ...], tuple[Bound, ...], tuple[Process, ...]]:
    bound = tuple(bound_sockets())
    inodes = {one.inode for one in bound}
    holders = tuple(one for one in processes() if one.inodes & inodes or one.name == "memcached")
    return tuple(local_addresses()), bound, holders


def _status(asked: Asked, settings: Settings) -> tuple[dict[str, Any] | None, str]:
    from mcproxy.cli.admin_client import AdminUnreachable, fetch

    try:
        code, body = fetch(settings.admin, "/status.json", timeout=3.0, certificate=asked.certificate, key=asked.key)
    except AdminUnreachable as error:
        return None, str(error)
    if code != 200 or len(body) > _LONGEST_STATUS:
        return None, f"the admin port answers /status.json with status {code}"
    try:
        status = json.loads(body)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        return None, "what the admin port serves as /status.json can't be read"
    return status, ""
