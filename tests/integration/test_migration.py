"""docs/migrate.md, followed literally on a machine made by its first section: memcached -S on a private address.

systemd boots there as process 1, so units, journal and ports are real. A client and a stranger are network namespaces
of that machine, each at the end of a cable. What is marked `sh install` is not run: the machine has mcproxy already, in
the same place, out of this Python's environment.
"""

import json
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.booted import Booted, available
from tests.support.followed import Step, first_missing, follow, steps
from tests.support.waiting import eventually

PAGE = steps("migrate.md")
SECTIONS = list(dict.fromkeys(step.section for step in PAGE))
STILL_THERE = next(step for step in PAGE if step.commands.startswith("old="))
INSTALL, BACK = "install", "back"
NETWORK = """
set -e
cable() {  # NAME ITS-ADDRESS OUR-ADDRESS INTERFACE
    ip netns add "$1"
    ip -n "$1" link set lo up
    ip link add "$4" type veth peer name eth0 netns "$1"
    ip address add "$3" dev "$4"
    ip link set "$4" up
    ip -n "$1" address add "$2" dev eth0
    ip -n "$1" link set eth0 up
}
cable client 10.0.0.9/24 10.0.0.5/24 private0
cable stranger 10.0.1.9/24 10.0.1.1/24 public0
ip -n stranger route add default via 10.0.1.1
"""


@pytest.fixture
def cache(short_path: Callable[[], Path]) -> Iterator[Booted]:
    if why_not := available():
        pytest.skip(why_not)
    directory = short_path()
    files = directory / "files"
    files.mkdir()
    with Booted(directory, files) as machine:
        machine.run(NETWORK)
        yield machine


def on(machine: Booted, step: Step) -> Callable[[str], str]:
    """Runs a script where the step is to be run."""

    def run(script: str) -> str:
        if step.machine in ("client", "stranger"):
            script = f"ip netns exec {step.machine} bash -c {shlex.quote(script)}"
        return machine.run(script, check=step.promised is None)

    return run


def walk(machine: Booted, section: str, *, back: bool = False) -> None:
    for step in PAGE:
        if step.section == section and step.machine != INSTALL and (step.machine == BACK) == back:
            follow(step, on(machine, step))


def test_the_page_is_all_there() -> None:
    assert len(SECTIONS) == 8
    assert sum(step.machine == INSTALL for step in PAGE) == 1
    assert sum(step.promised is not None for step in PAGE) >= 20


@pytest.mark.thorough
def test_every_step_prints_what_it_promises_and_interrupts_nobody(cache: Booted) -> None:
    """Old clients come from before the first step to the fifth, new ones from the fourth to the end."""
    for section in SECTIONS:
        if section == SECTIONS[1]:
            start_clients(cache, "old")
        if section.startswith("5."):
            start_clients(cache, "new")
            assert cache.run(STILL_THERE.commands).split() == ["8"]
            with a_client_of_its_own(cache):
                assert cache.run(STILL_THERE.commands).split() == ["9"]
            old = end_clients(cache, "old")
        if section.startswith("6."):
            switched = end_clients(cache, "new")
            start_clients(cache, "new")
        walk(cache, section)
    closed = end_clients(cache, "new")
    for counts in (old, switched):
        assert counts["connections"] == 8, counts
        assert counts["requests"] > 8, counts
        assert (counts["errors"], counts["refused"], counts["failed"]) == (0, 0, 0), counts
    # memcached itself is away for a moment there.
    assert (closed["refused"], closed["failed"]) == (0, 0), closed
    assert closed["requests"] > 8, closed


def start_clients(machine: Booted, kind: str) -> None:
    command = f"ip netns exec client /usr/bin/python3 tests/support/persistent_clients.py {kind} /root/{kind}.end"
    machine.run(f"rm -f /root/{kind}.end; nohup {command} > /root/{kind}.counts 2>&1 < /dev/null &")
    port = {"old": 11211, "new": 11212}[kind]
    connected = f"ss -Htn state established 'sport = :{port}' | wc -l"
    eventually("they are there", lambda: int(machine.run(connected)) >= 8, within=30, every=0.1)


@contextmanager
def a_client_of_its_own(machine: Booted) -> Iterator[None]:
    """An application on the same machine as the cache, which comes from the cache's own address."""
    client = "exec 3<> /dev/tcp/10.0.0.5/11211; echo $$ > /root/client.pid; exec sleep 600"
    machine.run(f"rm -f /root/client.pid; nohup bash -c {shlex.quote(client)} > /dev/null 2>&1 < /dev/null &")
    eventually("it is there", lambda: machine.run("cat /root/client.pid", check=False).strip().isdigit())
    yield
    machine.run("kill $(cat /root/client.pid)")


def end_clients(machine: Booted, kind: str) -> dict[str, int]:
    machine.run(f"touch /root/{kind}.end")
    told = eventually("they have ended", lambda: machine.run(f"cat /root/{kind}.counts").strip(), within=40, every=0.1)
    counts: dict[str, int] = json.loads(told)
    return counts


@pytest.mark.thorough
def test_every_step_has_its_way_back(cache: Booted) -> None:
    """Each step is taken, taken back and taken again; after going back, the old way in works as before."""
    there = next(step for step in PAGE if step.machine == "client" and "head -n 2" in step.commands)
    with_a_way_back = [step.section for step in PAGE if step.machine == BACK]
    assert len(with_a_way_back) == 4
    for section in SECTIONS:
        if section not in with_a_way_back:
            walk(cache, section)
            continue
        for step in PAGE:  # up to the way back; what comes behind it can't be taken back
            if step.section == section and step.machine == BACK:
                follow(step, on(cache, step))
                if section != with_a_way_back[-1]:
                    follow(there, on(cache, there))
                break
            if step.section == section and step.machine != INSTALL:
                follow(step, on(cache, step))
        walk(cache, section)


@pytest.mark.parametrize(
    ("promised", "told", "missing"),
    [
        ("one\nthree\n", "one\ntwo\nthree\n", None),
        ("three\none\n", "one\ntwo\nthree\n", "one"),
        ("tcp LISTEN ... 10.0.0.5:11211\n", "tcp   LISTEN 0  1024   10.0.0.5:11211\n", None),
        ("tcp LISTEN ... 10.0.0.5:11211\n", "tcp   LISTEN 0  1024   10.0.0.5:11212\n", "tcp LISTEN ... 10.0.0.5:11211"),
        ("0\n", "10\n", "0"),
        ("a.c\n", "abc\n", "a.c"),
    ],
)
def test_promises_are_compared(promised: str, told: str, missing: str | None) -> None:
    assert first_missing(promised, told) == missing
