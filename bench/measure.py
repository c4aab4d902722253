"""Build the load generator, run it against one address, and keep what it says."""

import hashlib
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers import KEY_PREFIX
from bench.processes import BenchError, forget_peaks, status

SOURCE = Path(__file__).parent / "load"
BUILD = Path(__file__).parent / "build"
FLAGS = ["-std=gnu11", "-O2", "-march=native", "-Wall", "-Wextra"]  # it runs where it was built
LIBRARIES = ["-lssl", "-lcrypto"]
WARM_UP = 0.5  # seconds of load before the measured window
STORED_AT_MOST = 128 << 20  # bytes of values kept in memcached, far below the memory it is given


@dataclass(frozen=True)
class Scenario:
    """One kind of load. `size` is of a value, in bytes; `pipeline` the requests in flight on each connection.

    `logins`: each request has a whole connection of its own, `connections` of them at a time; then a "request" in the
    figures is such a connection. `prefixes`: keys are spread over so many prefixes."""

    connections: int
    pipeline: int
    size: int
    reads: int = 10
    writes: int = 1
    batch: bool = False
    protocol: str = "text"
    logins: bool = False
    prefixes: int = 1

    @property
    def keys(self) -> int:
        return max(self.connections, min(10_000, STORED_AT_MOST // max(self.size, 1)))

    def __str__(self) -> str:
        mix = f"{self.protocol}, values of {self.size:,} bytes, {self.reads} gets to {self.writes} set"
        if self.logins:
            return f"new connections with one request each, {self.connections} at a time, {mix}"
        several = "s" if self.connections > 1 else ""
        flight = f"{self.pipeline} request{'s' if self.pipeline > 1 else ''} in flight on each"
        flight += ", in batches" if self.batch else ""
        mix += f", {self.prefixes:,} prefixes" if self.prefixes > 1 else ""
        return f"{self.connections} connection{several}, {flight}, {mix}"


@dataclass(frozen=True)
class Target:
    """Where the load goes, how it gets in, and whose CPU time is read meanwhile. `protocol`: the only one it speaks."""

    address: str
    certificate: Path | None
    login: Path | None
    proxy: tuple[int, ...]  # pids; none: there is no proxy
    memcached: int
    protocol: str | None = None


@dataclass(frozen=True)
class Sample:
    """One measured window. CPU times of the proxy (or of memcached, when direct) are per request; the busy_ figures
    are shares of one core, 1.0 being all of it; `others` is what ran on the machine beside the three. `peak_memory` is
    what the proxy had resident at most in this window and its warm-up, in bytes; `login_p50_us` from the send of a
    login to its answer."""

    requests_per_second: float
    cpu_us: float
    p50_us: float
    p90_us: float
    p99_us: float
    max_us: float
    busy_proxy: float
    busy_memcached: float
    busy_generator: float
    others: float
    stolen: float
    misses: int
    requests: int
    seconds: float
    tls: str
    peak_memory: int = 0
    login_p50_us: float = 0.0


def build() -> Path:
    """Compile the generator unless this very source was compiled before. Raises BenchError."""
    sources = sorted(SOURCE.glob("*.c"))
    digest = hashlib.sha256(repr((FLAGS, LIBRARIES)).encode())
    for path in [*sources, *sorted(SOURCE.glob("*.h"))]:
        digest.update(path.read_bytes())
    program = BUILD / f"load-{digest.hexdigest()[:16]}"
    if program.exists():
        return program
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchError("no C compiler: apt-get install gcc libc6-dev libssl-dev")
    BUILD.mkdir(exist_ok=True)
    unfinished = program.with_suffix(".new")
    command = [compiler, *FLAGS, "-o", str(unfinished), *map(str, sources), *LIBRARIES]
    compiled = subprocess.run(command, capture_output=True, text=True)
    if compiled.returncode != 0:
        hint = " (apt-get install libc6-dev libssl-dev)" if "No such file" in compiled.stderr else ""
        raise BenchError(f"the load generator does not compile{hint}: {compiled.stderr.strip()[:400]}")
    unfinished.rename(program)
    return program


def run_generator(program: Path, arguments: Sequence[str], timeout: float) -> dict[str, object]:
    """Raises BenchError with the generator's own words when it fails: a wrong reply, a lost connection, silence."""
    process = subprocess.Popen(
        [str(program), *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"the load generator did not end within {timeout:.0f} s") from error
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        raise BenchError(errors.decode(errors="replace").strip() or f"the generator ended with {process.returncode}")
    found: dict[str, object] = json.loads(output)
    return found


def arguments_for(scenario: Scenario, target: Target) -> list[str]:
    options: dict[str, object] = {
        "address": target.address,
        "connections": scenario.connections,
        "pipeline": scenario.pipeline,
        "size": scenario.size,
        "reads": scenario.reads,
        "writes": scenario.writes,
        "keys": scenario.keys,
        "prefix": KEY_PREFIX,
        "prefixes": scenario.prefixes,
        "protocol": target.protocol or scenario.protocol,
    }
    if target.certificate:
        options["ca"] = target.certificate
    if target.login:
        options["login-file"] = target.login
    flags = [name for name, wanted in (("--batch", scenario.batch), ("--logins", scenario.logins)) if wanted]
    return [f"--{name}={value}" for name, value in options.items()] + flags


def fill(program: Path, scenario: Scenario, target: Target) -> None:
    """Store every key of the scenario, straight into memcached: after this nearly all gets are hits."""
    # One in flight on each: memcached 1.6.18 now and then forgets sets of 10 KB that are pipelined over its own TLS.
    few = Scenario(min(16, scenario.keys), 1, scenario.size, protocol=scenario.protocol, prefixes=scenario.prefixes)
    arguments = [*arguments_for(few, target), f"--keys={scenario.keys}", "--fill"]
    found = run_generator(program, arguments, 120)
    if found["errors"]:
        raise BenchError(f"memcached refused to store values of {scenario.size} bytes: {found['first_error']}")


def measure(
    program: Path, scenario: Scenario, target: Target, seconds: float, warm_up: float = WARM_UP, *more: str
) -> Sample:
    """One window. `more` are further options of the generator. Raises BenchError also when any request was refused or
    more than 1% missed: no speed without work."""
    watched = [f"--watch={pid}" for pid in {*target.proxy, target.memcached}]
    timing = [f"--seconds={seconds}", f"--warmup={warm_up}"]
    forget_peaks(target.proxy)
    found = run_generator(program, [*arguments_for(scenario, target), *timing, *watched, *more], seconds + 60)
    number = {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
    if number["errors"]:
        raise BenchError(f"{number['errors']:.0f} requests were refused, the first with: {found['first_error']}")
    if number["misses"] > 0.01 * number["requests"] or not number["requests"]:
        raise BenchError(f"{number['misses']:.0f} misses in {number['requests']:.0f} requests; nearly all must hit")
    cpu = found["watched"]
    assert isinstance(cpu, dict)
    proxy, cache = sum(cpu[str(pid)] for pid in target.proxy), cpu[str(target.memcached)]
    elapsed = number["seconds"]
    known = proxy + cache + number["cpu_seconds"]
    return Sample(
        requests_per_second=number["requests_per_second"],
        cpu_us=(proxy if target.proxy else cache) / number["requests"] * 1e6,
        p50_us=number["p50_us"],
        p90_us=number["p90_us"],
        p99_us=number["p99_us"],
        max_us=number["max_us"],
        busy_proxy=proxy / elapsed,
        busy_memcached=cache / elapsed,
        busy_generator=number["cpu_seconds"] / elapsed,
        others=max(0.0, number["machine_busy"] - known) / elapsed,
        stolen=number["machine_stolen"] / elapsed,
        misses=int(number["misses"]),
        requests=int(number["requests"]),
        seconds=elapsed,
        tls=str(found["tls"]),
        peak_memory=sum(status(pid, "VmHWM") for pid in target.proxy),
        login_p50_us=number["login_p50_us"],
    )
