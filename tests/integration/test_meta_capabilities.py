"""The meta commands' capabilities: every conversation of meta_capabilities.py, directly and through the program.

Both memcacheds are new and are told the same things in the same order, so even cas uniques are the same, and replies
are compared byte for byte. Only what the clock makes differ may differ, and by no more than the clock: see `alike`.
"""

import base64
import itertools
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support.conversation import Connection, shown
from tests.support.memcached import Memcached
from tests.support.meta_capabilities import CONVERSATIONS, Until
from tests.support.proxy import Proxy
from tests.support.tap import Tap

SLACK = 2
"""Seconds that the two memcacheds may be apart: their clocks tick once a second, at different moments."""

HUGE = 1 << 31
"""A time to live from here on is that of an item that has just expired: 2^32 less the uptime."""

FLAGS = {b"mg": "bkOctsfhluvTNRCq", b"ms": "bkOcsTFCINMq", b"md": "bkOCITq", b"ma": "bkOctvTNCDJMq"}
"""Those of the canonical grammar's table; 1.6.18 takes s of ms and answers nothing for it."""

WITHIN = 15.0
"""Seconds for what only time brings about."""

_BLOCK = re.compile(rb"(?:VA|VALUE [^ ]+ [0-9]+) ([0-9]+)(?: .*)?\r\n")
_CAS = re.compile(rb"(?: c| cas=)([0-9]+)|^VALUE [^ ]+ [0-9]+ [0-9]+ ([0-9]+)\r")
# t: time to live, l: since the last access; me says exp= and la= for them.
_CLOCK = re.compile(rb"( t| l| exp=| la=)(-?[0-9]+)(?=[ \r])")


class Side:
    """One of the two: directly, or through the program."""

    def __init__(self, connected: socket.socket) -> None:
        self.connection = Connection(connected)
        self.cas = b"0"

    def ask(self, sent: bytes) -> list[bytes]:
        """Every reply to `sent`, up to that of the `mn` behind it."""
        self.connection.send_while_reading(sent.replace(b"{cas}", self.cas) + b"mn\r\n")
        wanted = sent.count(b"mn\r\n") + 1
        replies: list[bytes] = []
        while replies.count(b"MN\r\n") < wanted:
            line = self.connection.line()
            assert line.endswith(b"\r\n"), f"no reply, but {line!r}\n{self.connection}"
            if block := _BLOCK.fullmatch(line):
                line += self.connection.receive(int(block[1]) + 2)
            elif found := _CAS.search(line):
                self.cas = found[1] or found[2]
            if line.startswith((b"VA", b"HD")) and (found := _CAS.search(line.split(b"\r\n")[0])):
                self.cas = found[1]
            replies.append(line)
        return replies

    def wait(self, step: Until) -> list[bytes]:
        """Ask again and again until the replies are the ones that time has to bring."""
        deadline = time.monotonic() + WITHIN
        while True:
            replies = self.ask(step.sent)
            if b"".join(replies[:-1]) == step.replies:
                return replies
            assert time.monotonic() < deadline, f"still {replies!r}"
            time.sleep(0.05)


@pytest.fixture(scope="module")
def program(start_proxy: StartProxy, tap: Tap) -> Proxy:
    listener = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "authentication": ["none"]}
    listeners = {"plain": listener, "tls": None, "socket": None}
    return start_proxy(tap.address, listeners=listeners, default_roles=["everything"], grants=None)


@pytest.fixture(scope="module")
def other(short_path: Callable[[], Path]) -> Iterator[Memcached]:
    """The memcached that is spoken to directly."""
    with Memcached(short_path()) as upstream:
        yield upstream


@pytest.fixture
def sides(program: Proxy, other: Memcached) -> Iterator[tuple[Side, Side]]:
    with other.connect() as direct, program.connect_raw("plain") as through:
        yield Side(direct), Side(through)


def fill(step: bytes, key: bytes) -> bytes:
    """A step with the conversation's own key in it."""
    return step.replace(b"{k}", key).replace(b"{b}", base64.b64encode(key))


def alike(one: bytes, other: bytes) -> bool:
    """The same reply, but for how far the two clocks may be apart."""
    line, _, value = one.partition(b"\n")
    other_line, _, other_value = other.partition(b"\n")
    if value != other_value or _CLOCK.sub(rb"\1", line) != _CLOCK.sub(rb"\1", other_line):
        return False
    times = zip(_CLOCK.findall(line), _CLOCK.findall(other_line), strict=True)
    return all(abs(int(a) - int(b)) <= SLACK or min(int(a), int(b)) >= HUGE for (_, a), (_, b) in times)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_meta_capability(sides: tuple[Side, Side], name: str) -> None:
    direct, through = sides
    key = b"key%03d" % list(CONVERSATIONS).index(name)
    for number, step in enumerate(CONVERSATIONS[name]):
        if isinstance(step, Until):
            wanted = Until(fill(step.sent, key), step.replies)
            replies = [side.wait(wanted) for side in (direct, through)]
        else:
            sent = fill(step, key)
            replies = [side.ask(sent) for side in (direct, through)]
        for one, other in itertools.zip_longest(*replies):
            assert one is not None and other is not None and alike(one, other), (
                f"step {number}: {shown(one or b'nothing')} directly,"
                f" {shown(other or b'nothing')} through the program\n{through.connection}"
            )


def test_every_flag_of_every_verb_is_exercised() -> None:
    """The flags as the canonical grammar's table has them, written down again."""
    steps = [step.sent if isinstance(step, Until) else step for steps in CONVERSATIONS.values() for step in steps]
    used: dict[bytes, set[str]] = {}
    for verb, flags in re.findall(rb"^(m[gsda]) (?:\{k\}|\{b\})[^ ]*((?: [^ \r]+)*)\r$", b"".join(steps), re.MULTILINE):
        used.setdefault(verb, set()).update(chr(flag[0]) for flag in flags.split()[verb == b"ms" :])
    for verb, letters in FLAGS.items():
        assert used[verb] >= set(letters), f"{verb!r}: {set(letters) - used[verb]}"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (b"HD t100\r\n", b"HD t97\r\n"),
        (b"HD t-1\r\n", b"HD t4294967290\r\n"),
        (b"HD c5\r\n", b"HD c6\r\n"),
        (b"VA 1 t5\r\nx\r\n", b"VA 1 t5\r\ny\r\n"),
        (b"HD t5\r\n", b"HD\r\n"),
        (b"HD t5 l1\r\n", b"HD l1 t5\r\n"),
        (b"VA 4\r\n t50\r\n", b"VA 4\r\n t51\r\n"),
    ],
)
def test_what_is_not_alike(one: bytes, other: bytes) -> None:
    assert not alike(one, other)
    assert alike(one, one) and alike(other, other)
