"""What an idle connection costs in memory: private memory of the proxy's processes, so without the kernel's buffers."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from bench.field import Field, Starter
from bench.findings import Finding
from bench.measure import Scenario, arguments_for
from bench.processes import BenchError, private_memory
from bench.report import Spread
from bench.subject import mcproxy
from bench.suites import Bench, Outcome

BEFORE = 200  # connections that are open already, so that what the first ones cost is not counted
CONNECTIONS = 2000
LIMITS = {"plain": 8.0, "tls": 24.0}  # KiB of mcproxy's for each
KIB = 1024


def run(bench: Bench) -> Outcome:
    """Every round begins with fresh processes: memory that was given back once would be had for nothing."""
    peers = [*bench.named("haproxy", "nutcracker", "hitch", "stunnel"), mcproxy(bench.form)]
    found: dict[tuple[str, str], list[float]] = {}
    bench.turns.progress.expect(
        bench.turns.rounds * sum(len({*peer.transports} & {*bench.transports}) for peer in peers)
    )
    for number in range(bench.turns.rounds):
        with bench.playing(peers, bench.transports) as playing:
            playing.fill(bench.turns.program, Scenario(1, 1, 100))
            for place in playing.places:
                bench.turns.progress.turn(
                    f"{CONNECTIONS:,} idle connections, round {number + 1}, {place.name} {place.transport}"
                )
                found.setdefault((place.transport, place.name), []).append(cost(bench, playing, place) / KIB)
    bench.turns.progress.write("")
    findings = []
    for (transport, name), sizes in sorted(found.items()):
        limit = LIMITS[transport] if name == "mcproxy" else None
        what = f"{name}, {'TLS' if transport == 'tls' else 'plain'}"
        findings.append(Finding(what, Spread.of(sizes), limit, at_most=True, form=".1f", unit=" KiB"))
    return Outcome(f"Private memory of an idle connection after one request, {CONNECTIONS:,} of them", findings)


def cost(bench: Bench, playing: Field, place: Starter) -> float:
    """Bytes for each connection."""
    with held(bench, playing, place, BEFORE):
        pids = place.running.pids()
        before = sum(map(private_memory, pids))
        with held(bench, playing, place, CONNECTIONS):
            return (sum(map(private_memory, pids)) - before) / CONNECTIONS


@contextmanager
def held(bench: Bench, playing: Field, place: Starter, connections: int) -> Iterator[None]:
    """So many connections that asked for one value and are idle since. Raises BenchError."""
    scenario = Scenario(connections, 1, 100, reads=1, writes=0)
    arguments = [*arguments_for(scenario, playing.target(place)), f"--keys={Scenario(1, 1, 100).keys}", "--hold"]
    command = [str(bench.turns.program), *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True) as holder:
        try:
            assert holder.stdin and holder.stdout and holder.stderr
            line = holder.stdout.readline()
            if not line:
                raise BenchError(f"{place.name} {place.transport}: {holder.stderr.read().decode().strip()}")
            if json.loads(line)["errors"]:
                raise BenchError(f"{place.name} {place.transport}: requests were refused or missed")
            yield
            holder.stdin.close()
            holder.wait(30)
        finally:
            if holder.poll() is None:
                holder.kill()
