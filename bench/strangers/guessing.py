"""bench/guessing: how many guesses an attacker gets, and whether honest users notice."""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import trio

from bench.environment import commit, processor
from bench.peers import ROOT
from bench.processes import BenchError, Processes
from bench.report import align, save
from bench.strangers.messages import token
from bench.strangers.program import BALANCER, Program, start, users_file
from bench.strangers.scenario import ATTACKED, ATTACKS, NEIGHBOUR, NEWCOMER, Attack, Honest, honest_users
from bench.strangers.simulation import simulate

PASSWORD = "the right password"
CONNECTIONS = 8
"""Of a lone attacker at once."""
REAL_USERS = 200
BETWEEN = 1.0
"""Seconds between two logins of an honest user."""
HOUR = 3600.0


async def log_in(program: Program, source: str, name: str, passwords: Sequence[str]) -> bool:
    """Whether the last of the passwords was right; they are tried on one connection until it is closed."""
    with trio.socket.socket() as sock:
        try:
            await sock.bind((BALANCER, 0))
            await sock.connect(program.address)
            await sock.send(f"PROXY TCP4 {source} 10.255.255.255 1024 {program.address[1]}\r\n".encode())
            for password in passwords:
                await sock.send(token(name, password))
                if not (answer := await sock.recv(1024)):
                    return False
        except OSError:
            return False
        return answer == b"STORED\r\n"


async def guess(program: Program, attack: Attack, number: int, pause: float) -> None:
    """One attacker's connections, one after the other, without an end."""
    chosen = random.Random(number)
    await trio.sleep(3 * pause * chosen.random())
    while True:
        guesses = [f"guess {chosen.random()}" for _ in range(3)]
        await log_in(program, attack.address(number % attack.addresses), attack.name(chosen), guesses)
        await trio.sleep(3 * pause * chosen.uniform(0.5, 1.5))


async def use(program: Program, user: Honest) -> None:
    """An honest user, without an end."""
    for address in user.addresses():
        await trio.sleep(BETWEEN)
        begun = trio.current_time()
        if await log_in(program, address, user.name, [PASSWORD]):
            user.waits.append(trio.current_time() - begun)
        else:
            user.refused += 1


async def attack_once(program: Program, attack: Attack, seconds: float, tries: float) -> tuple[float, list[Honest]]:
    honest = honest_users(attack)
    for user in honest:
        if user.was_here and not await log_in(program, user.address, user.name, [PASSWORD]):
            raise BenchError(f"{user.who} cannot log in, and nobody attacks yet")
    before = program.logins()
    hands = max(attack.addresses, CONNECTIONS)
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for number in range(hands):
                nursery.start_soon(guess, program, attack, number, hands / tries)
            for user in honest:
                nursery.start_soon(use, program, user)
    return program.logins().get("failure", 0.0) - before.get("failure", 0.0), honest


def run_real(attack: Attack, seconds: float, tries: float, iterations: int) -> tuple[float, list[Honest]]:
    """The guesses that were checked in so many seconds. Raises BenchError."""
    names = [ATTACKED, NEIGHBOUR, NEWCOMER, *(f"user{number:04}" for number in range(REAL_USERS))]
    with tempfile.TemporaryDirectory() as directory, Processes(Path(directory)) as processes:
        Path(directory).chmod(0o711)
        users = users_file(names, PASSWORD, iterations, ["SCRAM-SHA-256"])
        program = start(processes, users, throttled=True, login_connections=4096)
        return trio.run(attack_once, program, attack, seconds, tries)


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="bench/guessing", description="Guesses that attackers get, and honest users meanwhile."
    )
    add = options.add_argument
    add("--addresses", type=int, choices=(1, 1000), help="attacks from one address or from 1,000 only (both)")
    add("--seconds", type=float, default=60.0, help="of each attack on the real program (60)")
    add("--hour", type=float, default=HOUR, metavar="SECONDS", help="of each simulated attack (3600)")
    add("--tries", type=float, default=200.0, metavar="N", help="tries a second of all attackers together (200)")
    add("--iterations", type=int, default=32_768, help="of the users' verifiers (32768)")
    add("--output", type=Path, default=ROOT / "bench/results", metavar="DIRECTORY", help="for JSON (bench/results)")
    return options


def shown(honest: Sequence[Honest]) -> str:
    return align([["", "logged in", "p50 ms", "p99 ms", "most ms"], *(user.row() for user in honest)])


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    environment: dict[str, object] = {
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "mcproxy commit": commit(),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "load averages": ", ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
    print("\n".join(f"{name}: {value}" for name, value in environment.items()), flush=True)
    saved: list[dict[str, object]] = []
    for attack in ATTACKS:
        if options.addresses not in (None, attack.addresses):
            continue
        try:
            guesses, honest = run_real(attack, options.seconds, options.tries, options.iterations)
        except (BenchError, OSError) as error:
            print(f"bench/guessing: {error}", file=sys.stderr)
            return 1
        simulated, theirs = simulate(attack, options.hour, options.tries)
        print(f"\n{attack.what}; {options.tries:g} tries a second")
        print(f"{guesses:,.0f} guesses checked in {options.seconds:g} s by the program:\n{shown(honest)}")
        print(f"{simulated:,} in a simulated {options.hour:g} s:\n{shown(theirs)}", flush=True)
        saved.append(
            {
                "attack": attack.what,
                "program": {"seconds": options.seconds, "guesses": guesses, "honest": [vars(user) for user in honest]},
                "simulated": {"seconds": options.hour, "guesses": simulated, "honest": [vars(user) for user in theirs]},
            }
        )
    path = options.output / f"guessing-{time.strftime('%Y%m%d-%H%M%S')}.json"
    save(path, saved, environment)
    print(f"\n{path}")
    return 0
