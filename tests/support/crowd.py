"""Many clients in one process, for the cross-talk test: `python -m tests.support.crowd` with a JSON order on stdin.

Every client writes and reads keys that all clients share in part and values that carry the writer's own name. It
counts what it was given that cannot be: a value of another client under its own key, a value that names another key,
and one that is torn (not exactly what its writer wrote). Prints one JSON object with the counts.
"""

import json
import random
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from tests.support.certificates import client_context
from tests.support.clients import CLIENTS, MemcacheClient, make_client

SHARED_KEYS = 20
OWN_KEYS = 30
SIZES = [0, 1, 10, 100, 1000, 10_000, 70_000]


@dataclass
class Counts:
    operations: int = 0
    values: int = 0
    foreign: int = 0
    torn: int = 0
    failures: int = 0

    def add(self, other: "Counts") -> None:
        self.operations += other.operations
        self.values += other.values
        self.foreign += other.foreign
        self.torn += other.torn
        self.failures += other.failures


def compose(key: str, writer: str, number: int, size: int) -> bytes:
    """A value that says whose it is, under which key, and is the same unit all through."""
    unit = f"<{writer}|{key}|{number}|{size}>\r\nEND\r\nVALUE {key} 0 1\r\n".encode()
    return unit + unit[:37] * (size // 37) + b"$"


def judge(counts: Counts, key: str, value: bytes, owner: str | None) -> None:
    """Count what this value, got for `key`, shows; `owner` is the only one who writes that key."""
    counts.values += 1
    try:
        writer, named, number, size = value[1 : value.index(b">")].decode().split("|")
        whole = compose(named, writer, int(number), int(size))
    except ValueError:
        counts.torn += 1
        return
    if named != key or (owner is not None and writer != owner):
        counts.foreign += 1
    elif value != whole:
        counts.torn += 1


def run(client: MemcacheClient, name: str, seed: int, until: float, counts: Counts) -> None:
    """One client's life: mostly reads, single and many at once, of its own keys and of those that all write."""
    generator = random.Random(seed)
    own = [f"app:own:{name}:{number}" for number in range(OWN_KEYS)]
    # By kind: each library has its own idea of what memcached's flags mean.
    shared = [f"app:shared:{name.split('-')[0]}:{number}" for number in range(SHARED_KEYS)]
    number = 0
    while time.monotonic() < until:
        number += 1
        counts.operations += 1
        key = generator.choice(own if generator.random() < 0.6 else shared)
        what = generator.random()
        if what < 0.3:
            counts.failures += not client.set(key, compose(key, name, number, generator.choice(SIZES)))
        elif what < 0.35:
            client.delete(key)
        elif what < 0.7:
            value = client.get(key)
            if value is not None:
                judge(counts, key, value, name if key in own else None)
        else:
            asked = generator.sample(own, 5) + generator.sample(shared, 5)
            for got, value in client.get_many(asked).items():
                judge(counts, got, value, name if got in own else None)
                counts.foreign += got not in asked


def main(order: dict[str, Any]) -> None:
    total, failures = Counts(), []
    threads, results = [], []
    until = time.monotonic() + order["seconds"]

    def live(kind: str, number: int, counts: Counts) -> None:
        name = f"{kind}-{order['crowd']}-{number}"
        listener = CLIENTS[kind]
        host, port = order["listeners"][listener]
        tls = client_context(order["authority"]) if listener == "tls" else None
        try:
            client = make_client(kind, host, port, order["user"], order["password"], tls)
            run(client, name, hash((order["crowd"], number)), until, counts)
            client.close()
        except Exception as raised:
            counts.failures += 1
            failures.append(f"{name}: {type(raised).__name__}: {raised}")

    kinds = list(CLIENTS)
    for number in range(order["clients"]):
        results.append(Counts())
        thread = threading.Thread(target=live, args=(kinds[number % len(kinds)], number, results[-1]))
        threads.append(thread)
        thread.start()
    for thread in threads:
        thread.join()
    for counts in results:
        total.add(counts)
    print(json.dumps({**asdict(total), "messages": failures[:5]}), flush=True)


if __name__ == "__main__":
    main(json.load(sys.stdin))
