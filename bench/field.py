"""The playing field: memcached and every peer, started once and left running, each ready to take its turn."""

import os
import subprocess
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.checks import proxy_checks
from bench.forms import mcproxy_python
from bench.measure import Scenario, Target, fill
from bench.peers import PEERS, Peer, Place
from bench.processes import BenchError, Processes, Running, free_port, pin

# Before anything was pinned, this program too.
CORES = sorted(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Starter:
    """A peer that runs, over one transport. For memcached itself `running` is the one asked.

    `seconds` from its start until it listened. `behind` is where its requests go, if that isn't the field's memcached.
    """

    peer: Peer
    transport: str
    address: str
    running: Running
    login: Path | None
    seconds: float
    behind: "Starter | None" = None

    @property
    def name(self) -> str:
        return self.peer.name


class Field:
    """Raises BenchError when something does not start, or a proxy does not check what it should."""

    def __init__(
        self, directory: Path, processes: Processes, peers: Sequence[Peer], transports: Sequence[str], upstream: str
    ) -> None:
        self.directory, self.processes = directory, processes
        self.cores = CORES
        directory.chmod(0o711)  # a peer that gives up root must still reach memcached's socket in it
        self.certificate, self.key = make_certificate(directory)
        memcached = next(peer for peer in PEERS if peer.is_memcached)
        address = f"unix:{directory}/memcached.sock" if upstream == "unix" else f"127.0.0.1:{free_port()}"
        self.upstream = self.start(memcached, "plain", address, address)
        self.places = []
        for transport in ("plain", "tls"):
            for peer in peers:
                if transport not in transports or transport not in peer.transports:
                    continue
                if peer.is_memcached and transport == "plain":
                    self.places.append(self.upstream)
                else:
                    self.places.append(self.start(peer, transport, f"127.0.0.1:{free_port()}", address))
        if not self.places:
            raise BenchError("nothing left to measure: --only names nobody who speaks this transport")
        for place in self.places:
            if place.peer.is_checked:
                proxy_checks(f"{place.name} {place.transport}", self.target(place))

    def start(self, peer: Peer, transport: str, address: str, upstream: str) -> Starter:
        directory = self.directory / f"{peer.name}-{transport}"
        directory.mkdir(mode=0o700)
        is_tls = transport == "tls"
        place = Place(directory, address, upstream, is_tls, self.certificate, self.key, mcproxy_python())
        command = peer.command(place)
        start = time.monotonic()
        running = self.processes.start(f"{peer.name} {transport}", command, peer.home or directory)
        running.wait_until_listening(address)
        seconds = time.monotonic() - start
        return Starter(peer, transport, address, running, directory / "login" if peer.logs_in else None, seconds)

    def add(self, peer: Peer, transport: str, behind: Starter) -> None:
        """One more, whose requests go to another that runs already; what both use is counted as its own."""
        started = self.start(peer, transport, f"127.0.0.1:{free_port()}", behind.address)
        self.places.append(replace(started, behind=behind))

    def proxies_of(self, place: Starter) -> tuple[int, ...]:
        """The processes between the client and memcached."""
        own = () if place.peer.is_memcached else tuple(place.running.pids())
        return own if place.behind is None else own + self.proxies_of(place.behind)

    def memcached_of(self, place: Starter) -> Running:
        if place.behind is not None:
            return self.memcached_of(place.behind)
        return place.running if place.peer.is_memcached else self.upstream.running

    def target(self, place: Starter, login: Path | None = None) -> Target:
        """`login`: a file of its users, instead of all of them."""
        certificate = self.certificate if place.transport == "tls" else None
        protocols = place.peer.protocols
        only = protocols[0] if len(protocols) == 1 else None
        return Target(
            place.address,
            certificate,
            login or place.login,
            self.proxies_of(place),
            self.memcached_of(place).process.pid,
            only,
        )

    def places_for(self, scenario: Scenario, names: Collection[str] | None = None) -> list[Starter]:
        """Who can be given this load, of those named. memcached is a yardstick in whatever protocol it speaks."""
        return [
            place
            for place in self.places
            if (place.peer.is_memcached or scenario.protocol in place.peer.protocols)
            and (names is None or place.name in names)
        ]

    def fill(self, program: Path, scenario: Scenario) -> None:
        for place in {self.upstream.address: self.upstream, **{p.address: p for p in self.places}}.values():
            if place.peer.is_memcached:
                try:
                    fill(program, scenario, self.target(place))
                except BenchError as error:
                    raise BenchError(f"{place.name} {place.transport}, storing for {scenario}: {error}") from error

    def pin_for(self, place: Starter) -> None:
        """The proxy alone on the second core; direct memcached likewise, for it is then what is measured."""
        first, second, *_ = self.cores
        cache = self.memcached_of(place)
        pin(cache.pids(), {second if place.peer.is_memcached else first})
        if not place.peer.is_memcached:
            pin(place.running.pids(), {second})
        os.sched_setaffinity(0, {first})  # inherited by the generator


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """A P-256 certificate for 127.0.0.1 that is its own authority, and its key."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    made = subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], capture_output=True, text=True)
    if made.returncode != 0:
        raise BenchError(f"openssl made no certificate: {made.stderr.strip()[-300:]}")
    key.chmod(0o600)
    return certificate, key
