"""What upstreams say of themselves: version, `stats` and `stats settings`, asked as the proxy itself would ask."""

from __future__ import annotations

from dataclasses import dataclass, field

import trio

from mcproxy.config.addresses import TcpAddress
from mcproxy.config.material import in_memory, named_files
from mcproxy.config.regular_file import explained, read_regular_file
from mcproxy.config.schema import Settings, Upstream
from mcproxy.doctor.names import Hosts
from mcproxy.relay.obstacle import NO_META_COMMANDS, TOO_OLD, NotOpened
from mcproxy.relay.secured import Connection, socket_of
from mcproxy.server.link_opening import open_connection
from mcproxy.server.state import UpstreamState
from mcproxy.server.streams import receive, send_all
from mcproxy.server.upstream_states import upstream_states
from mcproxy.wire import binary_operations as operations

PATIENCE = 3.0
"""Seconds for one upstream."""
LONGEST_ANSWER = 256 * 1024
MOST_PROCESSES = 2**22
"""The largest number of a process on Linux: proc(5), pid_max."""
MOST_PORT = 65_535
_STAT = 0x10


@dataclass(frozen=True, slots=True)
class UpstreamFacts:
    """`problem` says why nothing is known. What upstream does not tell is missing: it may be another engine than
    memcached, or one that grants us no statistics."""

    statistics: dict[str, str] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    problem: str = ""

    @property
    def version(self) -> str:
        return self.statistics.get("version", "")

    @property
    def why_silent(self) -> str:
        """Why it does not tell its settings."""
        return self.problem or "it refuses stats settings"

    @property
    def pid(self) -> int | None:
        return _number(self.statistics.get("pid", ""), MOST_PROCESSES)

    @property
    def udp_port(self) -> int | None:
        """0 where UDP is off, None where that isn't told."""
        return _number(self.settings.get("udpport", ""), MOST_PORT)


def _number(text: str, most: int) -> int | None:
    """None for what is none, or too large to be true."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 and int(text) <= most else None


def engine_of(upstream: Upstream, facts: UpstreamFacts) -> str:
    """What is there. `engine: mcproxy` goes without saying where there is TLS or a login; then what takes our login and
    keeps its settings to itself is no memcached."""
    guarded = upstream.tls is not None or upstream.login is not None
    keeps_to_itself = not facts.problem and not facts.settings
    return "mcproxy" if upstream.engine == "memcached" and guarded and keeps_to_itself else upstream.engine


async def upstream_facts(settings: Settings, hosts: Hosts) -> dict[str, UpstreamFacts]:
    """Of every upstream, by name, all at once. Those whose names `hosts` has no address for are not asked."""
    try:
        with trio.fail_after(PATIENCE):
            states = await trio.to_thread.run_sync(_states, settings, abandon_on_cancel=True)
    except trio.TooSlowError:
        problem = f"its files can't be read within {PATIENCE:g} s"
        return {name: UpstreamFacts(problem=problem) for name in settings.all_upstreams}
    except (OSError, ValueError) as error:
        why = explained(error) if isinstance(error, OSError) else str(error)
        return {name: UpstreamFacts(problem=f"its files can't be used: {why}") for name in settings.all_upstreams}
    facts: dict[str, UpstreamFacts] = {}

    async def gather(name: str, state: UpstreamState) -> None:
        address = state.settings.address
        if isinstance(address, TcpAddress) and not hosts.get(address.host):
            facts[name] = UpstreamFacts(problem=f"the name {address.host} can't be resolved")
            return
        facts[name] = UpstreamFacts(problem=f"it does not answer within {PATIENCE:g} s")
        with trio.move_on_after(PATIENCE):
            facts[name] = await _facts(state, _protocol(settings, name, state.settings))

    async with trio.open_nursery() as nursery:
        for name, state in states.items():
            nursery.start_soon(gather, name, state)
    return facts


def _states(settings: Settings) -> dict[str, UpstreamState]:
    """Raises OSError and ValueError. OpenSSL is given no file of the disk, which may be a pipe by now."""
    named = [path for upstream in settings.all_upstreams.values() for _, path in named_files(upstream)]
    files = {path: read_regular_file(path) for path in named}
    with in_memory(settings, files) as (readable, with_real_names):
        try:
            return upstream_states(settings, readable)
        except OSError as error:
            raise OSError(with_real_names(str(error))) from error


def _protocol(settings: Settings, name: str, upstream: Upstream) -> str:
    listeners = settings.listeners_of(name).values()
    spoken = {upstream.spoken(one) for listener in listeners for one in listener.protocols}
    return "text" if "text" in spoken or not spoken else "binary"


async def _facts(state: UpstreamState, protocol: str) -> UpstreamFacts:
    if state.settings.engine == "twemproxy":
        return UpstreamFacts(problem="twemproxy passes no statistics on: run this where its memcacheds are")
    try:
        connection = await open_connection(state, protocol)
    except NotOpened as problem:
        if problem.obstacle in (TOO_OLD, NO_META_COMMANDS) and protocol == "text":
            # Not fit for text clients, which is no reason not to know how old it is.
            return await _facts(state, "binary")
        return UpstreamFacts(problem=str(problem))
    try:
        statistics = await _statistics(connection, protocol, "")
        return UpstreamFacts(statistics, await _statistics(connection, protocol, "settings"))
    except (OSError, NotOpened, ValueError) as error:
        return UpstreamFacts(problem=f"it does not tell its statistics: {error}")
    finally:
        socket_of(connection).close()


async def _statistics(connection: Connection, protocol: str, group: str) -> dict[str, str]:
    """Empty if it refuses. Raises OSError, and ValueError for what can't be an answer."""
    if protocol == "binary":
        return await _binary_statistics(connection, group.encode())
    await send_all(connection, f"stats {group}".strip().encode() + b"\r\n")
    received = b""
    while not received.endswith(b"END\r\n") and not (received.endswith(b"\n") and not received.startswith(b"STAT ")):
        received += await _more(connection, received)
    rows = [line.split(" ", 2) for line in received.decode("utf-8", "backslashreplace").splitlines()]
    return {row[1]: row[2] if len(row) > 2 else "" for row in rows if row[0] == "STAT" and len(row) > 1}


async def _binary_statistics(connection: Connection, group: bytes) -> dict[str, str]:
    header = (operations.REQUEST_MAGIC, _STAT, len(group), 0, 0, 0, len(group), 0, 0)
    await send_all(connection, operations.HEADER.pack(*header) + group)
    received = b""
    found: dict[str, str] = {}
    while True:
        while len(received) < operations.HEADER_LENGTH:
            received += await _more(connection, received)
        _, _, key_length, extras, _, status, length, _, _ = operations.HEADER.unpack_from(received)
        while len(received) < operations.HEADER_LENGTH + length:
            received += await _more(connection, received)
        body = received[operations.HEADER_LENGTH + extras : operations.HEADER_LENGTH + length]
        received = received[operations.HEADER_LENGTH + length :]
        if status or not key_length:
            return found
        if len(found) > 10_000:
            raise ValueError("it has no end")
        key, value = body[:key_length], body[key_length:]
        found[key.decode("utf-8", "backslashreplace")] = value.decode("utf-8", "backslashreplace")


async def _more(connection: Connection, received: bytes) -> bytes:
    data = await receive(connection, 16384)
    if not data:
        raise ValueError("it closed the connection")
    if len(received) + len(data) > LONGEST_ANSWER:
        raise ValueError("it has no end")
    return data
