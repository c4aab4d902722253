"""New connections: TLS, a login and one request each, beside proxies that ask for no login; and what it is worth that a
login is remembered."""

from pathlib import Path

from bench.field import Field, Starter
from bench.findings import Finding
from bench.measure import Sample, Scenario, measure
from bench.report import Result, Spread, ratio_of
from bench.subject import Setup, mcproxy
from bench.suites import Bench, Outcome
from bench.turns import Case

ARRIVALS = Scenario(16, 1, 100, reads=1, writes=0, protocol="binary", logins=True)
LONE = Scenario(1, 1, 100, reads=1, writes=0, protocol="binary", logins=True)
FRESH = 20  # users who log in for the first time in each round
RATE = "requests_per_second"
AT_LEAST, TIMES_FASTER = 0.7, 20


def run(bench: Bench) -> Outcome:
    """Connections a second over TLS, by SASL PLAIN where there is a login; first logins beside remembered ones."""
    rounds = bench.turns.rounds
    ordinary = mcproxy(bench.form)
    fresh = mcproxy(bench.form, "fresh", Setup(users=rounds * FRESH + 1, logins=rounds * FRESH + 1))
    peers = bench.named("direct", "memcached-sasl", "haproxy", "hitch", "stunnel")
    with bench.playing([*peers, ordinary, fresh], ["tls"]) as playing:
        names = {peer.name for peer in peers} | {"mcproxy"}
        results = bench.turns.play(playing, [Case(ARRIVALS, names)])
        firsts, ratios = remembered(bench, playing)
    result = results[0]
    findings = by_haproxy(result) if "haproxy" in result.samples else []
    findings += [
        Finding("a first login, from its send to its answer", firsts, form=",.1f", unit=" ms"),
        Finding("a first login by a remembered one", ratios, TIMES_FASTER, form=".0f", unit=" times"),
    ]
    title = "New connections, TLS, one request each; mcproxy's and memcached-sasl's with a login"
    return Outcome(title, findings, results, subject="mcproxy")


def by_haproxy(result: Result) -> list[Finding]:
    """The generator shakes hands too, and may be slower at it than a proxy: then the CPU time says more."""
    rate, cpu = (result.ratio("mcproxy", "haproxy", measure) for measure in (RATE, "cpu_us"))
    return [
        Finding("connections/s with login by haproxy's without", rate, AT_LEAST),
        Finding("CPU per connection with login by haproxy's without", cpu),
    ]


def remembered(bench: Bench, playing: Field) -> tuple[Spread, Spread]:
    """Milliseconds of a first login, and that by a repeated one: medians of each round."""
    place = next(place for place in playing.places if place.name == "fresh")
    lines = place.login.read_text().splitlines() if place.login else []
    firsts, ratios = [], []
    for number in range(bench.turns.rounds):
        begin = 1 + number * FRESH  # the first user of all has logged in already, for the checks
        some = playing.directory / f"users-{number}"
        some.touch(mode=0o600)
        some.write_text("\n".join(lines[begin : begin + FRESH]) + "\n")
        first, again = (log_in_once_each(bench.turns.program, playing, place, some).login_p50_us for _ in range(2))
        firsts.append(first / 1000)
        ratios.append(ratio_of(first, again))
    return Spread.of(firsts), Spread.of(ratios)


def log_in_once_each(program: Path, playing: Field, place: Starter, logins: Path) -> Sample:
    """One user after the other; nothing is hashed beforehand."""
    target = playing.target(place, logins)
    return measure(program, LONE, target, 60, 0, f"--requests={FRESH}")
