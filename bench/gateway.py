"""What a gateway costs: beside a direct TLS connection of the same client, and the translator's part of it."""

import json
from collections.abc import Sequence
from dataclasses import replace

from bench.field import Field, Starter
from bench.findings import Finding
from bench.forms import Form
from bench.measure import Sample, Scenario
from bench.peers import Peer, Place
from bench.report import Result, Spread, ratio_of
from bench.subject import Setup, configuration, mcproxy
from bench.suites import Bench, Outcome
from bench.turns import Case

OPEN = Setup(authentication=("none",))
LENGTHS = {"rounds": 3, "seconds": 0.5, "warm_up": 0.1, "repeats": 0}
"""For a run of about a minute; docs/performance.md says which lengths its figures have."""

SHAPES = [(connections, pipeline) for pipeline in (1, 16) for connections in (50, 8)]
LONE = Scenario(1, 1, 100)
MIXED = [Scenario(connections, pipeline, 100) for connections, pipeline in SHAPES]
GETS = [Scenario(connections, pipeline, 100, reads=1, writes=0) for connections, pipeline in SHAPES]
SETS = [Scenario(connections, pipeline, 100, reads=0, writes=1) for connections, pipeline in SHAPES]
DIRECT, GUARD = "direct", "guard"
RATE, CPU = "requests_per_second", "cpu_us"
TO_TEXT, TO_BINARY = "text to text", "text to binary"


def run(bench: Bench) -> Outcome:
    """Over TLS to memcached itself and to a guard; then the translator, beside a gateway that translates nothing."""
    findings, results = added(bench)
    more_findings, more_results = translated(bench)
    title = "What a gateway adds to a direct TLS connection, and what translating costs"
    return Outcome(title, [*findings, *more_findings], [*results, *more_results])


def added(bench: Bench) -> tuple[list[Finding], list[Result]]:
    """Client - TLS - memcached or guard, beside client - gateway - TLS - the same one."""
    with bench.playing([*bench.named(DIRECT), mcproxy(bench.form, GUARD)], ["tls"]) as playing:
        for behind in tuple(playing.places):
            playing.add(gateway(bench.form, behind, playing), "plain", behind)
        results = by_scenario(bench.turns.play(playing, [Case(scenario) for scenario in (LONE, *MIXED)]))
        pairs = [(place.name, place.behind.name) for place in playing.places if place.behind is not None]
    findings: list[Finding] = []
    for result in results:
        for name, other in pairs:
            if result.scenario == LONE:
                what = f"{shape(result)}: median with a gateway less {other}'s without"
                findings.append(Finding(what, more_time(result, name, other), form=".0f", unit=" us"))
                continue
            what = f"{shape(result)}: requests/s through a gateway by {other}'s without"
            findings.append(Finding(what, result.ratio(name, other, RATE)))
            what = "  CPU per request, client and memcached included"
            findings.append(Finding(what, all_processors(result, name, other)))
    return findings, results


def translated(bench: Bench) -> tuple[list[Finding], list[Result]]:
    """Text clients before one and the same memcached, which the gateways speak text and binary to."""
    peers = [upstream_in(bench.form, name, protocol) for name, protocol in ((TO_TEXT, "text"), (TO_BINARY, "binary"))]
    with bench.playing(peers, ["plain"]) as playing:
        results = bench.turns.play(playing, [Case(scenario) for scenario in (*GETS, *SETS)])
    findings = []
    for result in results:
        what = f"{'gets' if result.scenario.reads else 'sets'}, {shape(result)}"
        findings.append(
            Finding(f"{what}: requests/s translated to binary by text's", result.ratio(TO_BINARY, TO_TEXT, RATE))
        )
        findings.append(Finding("  the gateway's CPU per request by text's", result.ratio(TO_BINARY, TO_TEXT, CPU)))
    return findings, results


def gateway(form: Form, behind: Starter, playing: Field) -> Peer:
    """What brings plain text through TLS, and a login if one is asked for, to where `behind` listens."""
    tls = {"ca": str(playing.certificate)}

    def command(place: Place) -> list[str]:
        upstream: dict[str, object] = {"tls": tls}
        if behind.login is not None:
            name, _, password = behind.login.read_text().splitlines()[0].partition(" ")
            file = place.write("password", password)
            login = {"method": "sasl", "mechanism": "PLAIN", "username": name, "password_file": file}
            upstream["login"] = login
        return with_upstream(place, upstream)

    return replace(mcproxy(form, f"gateway to {behind.name}", OPEN), command=command)


def upstream_in(form: Form, name: str, protocol: str) -> Peer:
    """A gateway that speaks this protocol upstream, whatever its clients do."""
    return replace(
        mcproxy(form, name, OPEN),
        command=lambda place: with_upstream(place, {"protocol": protocol}),
        transports=("plain",),
        protocols=("text",),
    )


def with_upstream(place: Place, changes: dict[str, object]) -> list[str]:
    """The command line of an open gateway whose way up is changed so."""
    settings = json.loads(configuration(place, OPEN))
    settings["upstream"] |= changes
    file = place.write("mcproxy.yaml", json.dumps(settings, indent=1))
    return [place.python, "-m", "mcproxy", "run", "--config", file]


def by_scenario(results: Sequence[Result]) -> list[Result]:
    """One result for each load, with those whose clients use TLS and those whose don't: they took turns in one run."""
    joined: dict[Scenario, Result] = {}
    for result in results:
        joined.setdefault(result.scenario, Result(result.scenario, "tls")).samples.update(result.samples)
    return list(joined.values())


def shape(result: Result) -> str:
    several = "s" if result.scenario.connections > 1 else ""
    return f"{result.scenario.connections} connection{several}, {result.scenario.pipeline} in flight"


def more_time(result: Result, subject: str, other: str) -> Spread:
    """Microseconds that the one's median is above the other's, round by round."""
    pairs = zip(result.samples[subject], result.samples[other], strict=True)
    return Spread.of([own.p50_us - its.p50_us for own, its in pairs])


def all_processors(result: Result, subject: str, other: str) -> Spread:
    """CPU per request of everybody who takes part, round by round: a gateway does the client's part of TLS."""
    pairs = zip(result.samples[subject], result.samples[other], strict=True)
    return Spread.of([ratio_of(per_request(own), per_request(its)) for own, its in pairs])


def per_request(sample: Sample) -> float:
    """Seconds of a processor."""
    busy = sample.busy_generator + sample.busy_proxy + sample.busy_memcached
    return busy / sample.requests_per_second
