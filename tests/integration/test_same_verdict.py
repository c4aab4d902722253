"""Case 44 through the program: whoever asks, text and binary get the same verdict on every command.

Each client address is granted one role: every command class alone, on all keys and held to some, and a few mixed ones.
"""

import pytest

from mcproxy.policy.grants import CLASSES, KEYED_CLASSES
from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.conversation import DENIED, Connection
from tests.support.packets import packet
from tests.support.proxy import Proxy
from tests.support.tap import Tap
from tests.support.verbs import VERBS, Verb

HELD = ["app:*", "exact"]
CLASSES_WITH_KEYS_ALONE = sorted(KEYED_CLASSES - {"inspect"})
ROLES: dict[str, tuple[list[str], list[str]]] = {
    "everything": (sorted(CLASSES), ["*"]),
    **{name: ([name], ["*"]) for name in sorted(CLASSES)},
    **{f"{name}-held": ([name], HELD) for name in CLASSES_WITH_KEYS_ALONE},
    "app": (CLASSES_WITH_KEYS_ALONE, HELD),
}
SOURCES = {name: f"127.0.1.{number}" for number, name in enumerate(ROLES, start=1)}
KEYS = [b"app:a", b"exact", b"exact1", b"app", b"\xffapp:a"]


@pytest.fixture(scope="module")
def by_address(start_proxy: StartProxy, tap: Tap) -> Proxy:
    listener = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.0/8"], "authentication": ["address"]}
    return start_proxy(
        tap.address,
        listeners={"address": listener, "plain": None, "tls": None, "socket": None},
        users_file=None,
        roles={name: {"commands": classes, "keys": keys} for name, (classes, keys) in ROLES.items()},
        grants=[
            {"address": f"{source}/32", "as": f"client-{name}", "roles": [name]} for name, source in SOURCES.items()
        ],
    )


def may(verb: Verb, name: str, key: bytes) -> bool:
    """The rule, for one role."""
    classes, keys = ROLES[name]
    covered = keys == ["*"] or (verb.keyed and (key == b"exact" or key.startswith(b"app:")))
    return not verb.classes or (covered and verb.classes <= set(classes))


def denied_in_text(connection: Connection, line: bytes) -> bool:
    """Whether the answer to this command is a denial; everything else up to MN is passed over."""
    connection.send(line + b"mn\r\n")
    answers = []
    while not answers or answers[-1] != b"MN\r\n":
        answers.append(connection.line())
        assert answers[-1], str(connection)
    assert DENIED not in answers or answers == [DENIED, b"MN\r\n"], str(connection)
    return DENIED in answers


def denied_in_binary(connection: Connection, data: bytes) -> bool:
    """The same, up to the NOOP."""
    connection.send(data + packet(packets.NOOP, opaque=packets.IN_STEP))
    statuses = []
    while (answer := connection.response()).opaque != packets.IN_STEP:
        statuses.append(answer.status)
    assert packets.DENIED not in statuses or statuses == [packets.DENIED], str(connection)
    return packets.DENIED in statuses


@pytest.mark.parametrize("name", ROLES)
def test_text_and_binary_get_the_same_verdict(by_address: Proxy, tap: Tap, name: str) -> None:
    text = by_address.connect("address", source=SOURCES[name])
    binary = by_address.connect("address", source=SOURCES[name])
    for verb in VERBS:
        for key in KEYS if verb.keyed else KEYS[:1]:
            tap.recording.forget()
            expected = may(verb, name, key)
            lines = [] if verb.name == "mn" else verb.text(key)
            asked = [] if verb.name == "mn" else verb.binary(key)
            for line in lines:
                assert denied_in_text(text, line) is not expected, f"{line!r}\n{text}"
            for data in asked:
                assert denied_in_binary(binary, data) is not expected, f"{data!r}\n{binary}"
            sent = [frame for frame in tap.recording.requests() if frame.verb not in ("mn", "NOOP")]
            assert bool(sent) == (expected and verb.name not in ("version", "mn")), f"{verb.name} {key!r}"
    by_address.close_connections()
