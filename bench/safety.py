"""What it costs to be safe: CPU per request from bytes that nobody looks at to the whole of mcproxy, step by step."""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from bench.findings import Finding
from bench.forms import PLAIN_PYTHON, Form, cut_copy, mcproxy_python
from bench.measure import Scenario
from bench.peers import Peer, Place
from bench.processes import BenchError
from bench.subject import Setup, mcproxy
from bench.suites import Bench, Outcome
from bench.turns import Case

REQUESTS = Scenario(50, 1, 100)
EVERYTHING = Setup(keys=("*",))
PASS_THROUGH, WHOLE = "pass-through", "+ metrics"
WITHOUT = {
    "+ framing": (["metrics", "key comparison"], EVERYTHING),
    "+ key comparison": (["metrics"], EVERYTHING),
    "+ grants": (["metrics"], Setup()),
}


def run(bench: Bench) -> Outcome:
    """Each step has what those above it have, and one thing more; the last one is mcproxy as it is."""
    with tempfile.TemporaryDirectory(prefix="mcproxy-steps-") as directory:
        peers = [*bench.named("haproxy"), *steps(Path(directory), bench.form)]
        with bench.playing(peers, ["plain"]) as playing:
            (result,) = bench.turns.play(playing, [Case(REQUESTS)])
    names = [peer.name for peer in peers]
    findings = [Finding(name, result.spread(name, "cpu_us"), form=".1f", unit=" us") for name in names]
    return Outcome("What it costs to be safe: CPU per request", findings, [result], subject=WHOLE)


def steps(directory: Path, form: Form) -> list[Peer]:
    """All in one form: where a copy cannot be compiled, none is."""
    try:
        forms = {name: cut_copy(form, directory / name.strip("+ "), cuts) for name, (cuts, _) in WITHOUT.items()}
    except BenchError as error:
        if not form.is_compiled:
            raise
        print(f"all steps are measured as plain Python: {error}", file=sys.stderr)
        return steps(directory, PLAIN_PYTHON)
    peers = [replace(mcproxy(forms[name], name, setup), is_checked=False) for name, (_, setup) in WITHOUT.items()]
    return [pass_through(forms["+ grants"]), *peers, mcproxy(form, WHOLE)]


def pass_through(form: Form) -> Peer:
    """Bytes on the relay's poller, a connection upstream for each client; see bench/steps/passthrough.py."""
    code = "from mcproxy.relay.passthrough import main; main()"

    def command(place: Place) -> list[str]:
        return [place.python, "-c", code, place.address, place.upstream]

    return Peer(PASS_THROUGH, mcproxy_python(), "", command, ("plain",), ("-m", "mcproxy", "--version"), home=form.home)
