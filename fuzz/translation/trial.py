"""One gateway and one memcached, asked the same for as long as they agree."""

import random
import socket
import threading
from collections import Counter

from fuzz.translation.commands import Batch, Command, Commands
from fuzz.translation.comparison import Reply, replies
from fuzz.translation.named import name_of
from fuzz.translation.stage import Stage

REFUSAL = b"CLIENT_ERROR not available"
BATCHES_FOR_EACH_CONNECTION = 50


class Difference(Exception):
    """A reply that is not memcached's own."""


class Trial:
    """`sent` commands so far; `named` are the differences that have a name, by it."""

    def __init__(self, stage: Stage, commands: Commands, seed: str) -> None:
        self.sent = 0
        self.named: Counter[str] = Counter()
        self._stage = stage
        self._commands = commands
        self._choose = random.Random(seed)
        # By key, the unique that each side told last.
        self._uniques: dict[bytes, tuple[bytes, bytes]] = {}
        self._batches = 0
        self._sides: tuple[socket.socket, socket.socket] | None = None

    def batch(self) -> None:
        """Send one batch to both sides. Raises Difference."""
        if self._sides is None or self._batches % BATCHES_FOR_EACH_CONNECTION == 0:
            self.close()
            self._sides = self._stage.connect("text"), self._stage.connect("gateway")
        self._batches += 1
        batch = self._commands.next()
        self.sent += len(batch.commands)
        gateway = self._sides[1]
        if batch.closes:
            self._expect_the_end(batch.commands[0])
            return
        if batch.refused:
            self._expect_refusals(gateway, batch)
            return
        end = b"EN O%08x" % self._choose.getrandbits(32)
        ask = b"mg end-of-batch " + end[3:] + b"\r\n"
        data = [b"".join(self._filled(command, side) for command in batch.commands) + ask for side in (0, 1)]
        answers = []
        for name, side, each in zip(("memcached", "the gateway"), self._sides, data, strict=True):
            try:
                answers.append(_converse(side, each, end + b"\r\n"))
            except Difference as difference:
                raise Difference(f"{name}: {difference}") from None
        self._compare(batch, *answers)

    def close(self) -> None:
        """Close the connections."""
        for side in self._sides or ():
            side.close()
        self._sides = None

    def _filled(self, command: Command, side: int) -> bytes:
        if command.cas is None:
            return command.data
        start, end = command.cas
        unique = self._uniques.get(command.keys[0], (b"0", b"0"))[side]
        return command.data[:start] + unique + command.data[end:]

    def _compare(self, batch: Batch, reference: bytes, gateway: bytes) -> None:
        expected, got = list(replies(reference)), list(replies(gateway))
        for number, (wanted, came) in enumerate(zip(expected, got, strict=False)):
            if wanted.shown != came.shown:
                name = name_of(wanted, came)
                if name is None:
                    raise Difference(_told(batch, number, wanted, came))
                self.named[name] += 1
            elif wanted.cas and wanted.key:
                self._uniques[wanted.key] = wanted.cas, came.cas
        if len(expected) != len(got):
            number = min(len(expected), len(got))
            for side in (expected, got):
                side.append(Reply(b"(nothing)"))
            raise Difference(_told(batch, number, expected[number], got[number]))

    def _expect_refusals(self, gateway: socket.socket, batch: Batch) -> None:
        """One line each, and the connection goes on."""
        for command in batch.commands:
            answer = _converse(gateway, command.data, b"\r\n")
            right = answer == command.refusal if command.refusal else answer.startswith(REFUSAL)
            if not right or answer.count(b"\n") != 1:
                raise Difference(f"{command.data!r} should be refused; came: {answer[:200]!r}")

    def _expect_the_end(self, command: Command) -> None:
        """One line, and the connection ends."""
        with self._stage.connect("gateway") as gateway:
            answer = _converse(gateway, command.data, b"\r\n")
            if answer != command.refusal or gateway.recv(100):
                raise Difference(f"{command.data!r} should end the connection; came: {answer[:200]!r}")


def _converse(side: socket.socket, data: bytes, end: bytes) -> bytes:
    """Send, in another thread if it is much: who doesn't read may have to wait for the other to read."""
    sender = None
    if len(data) > 60_000:
        sender = threading.Thread(target=side.sendall, args=(data,))
        sender.start()
    else:
        side.sendall(data)
    received = bytearray()
    while not received.endswith(end):
        try:
            part = side.recv(1 << 20)
        except OSError as error:
            raise Difference(
                f"no end within reach: {error}; sent {data[:2000]!r}, came {bytes(received[-500:])!r}"
            ) from None
        if not part:
            raise Difference(f"closed; sent {data[:2000]!r}, came {bytes(received[-500:])!r}")
        received += part
    if sender is not None:
        sender.join()
    return bytes(received)


def _told(batch: Batch, number: int, wanted: Reply, came: Reply) -> str:
    sent = b"".join(command.data[:300] for command in batch.commands)
    return f"reply {number}: memcached {wanted.shown[:200]!r}, gateway {came.shown[:200]!r}; sent {sent[:6000]!r}"
