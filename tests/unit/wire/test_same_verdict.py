"""Case 44: every command, in every spelling of either protocol, gets the same verdict, and the one that was written."""

import pytest

from mcproxy.policy.grants import CLASSES
from tests.support import packets
from tests.support.verbs import KEYED, VERBS, Verb
from tests.unit.wire.answering import response
from tests.unit.wire.driving import MakeParser, Outcome, play
from tests.unit.wire.granting import binary, text

DENIED = b"CLIENT_ERROR access denied\r\n"
Role = tuple[str, tuple[str, ...]]
EVERYWHERE, HELD, BOTH = ("*",), ("app:*", "exact"), ("*", "app:*")
ROLES: dict[str, tuple[Role, ...]] = {
    "nothing": (("read", ()),),
    "everything": (("*", ("*",)),),
    **{f"{name} alone": ((name, EVERYWHERE),) for name in sorted(CLASSES)},
    **{f"{name} alone, on some keys": ((name, HELD),) for name in sorted(CLASSES)},
    **{f"all but {name}": ((" ".join(sorted(CLASSES - {name})), EVERYWHERE),) for name in sorted(CLASSES)},
    "everything on some keys": ((" ".join(sorted(CLASSES)), HELD),),
    "two halves that make no whole": (("read write inspect", ("app:*",)), ("touch counter delete", ("exact",))),
    "read everywhere, the rest on some keys": (("read", EVERYWHERE), ("write touch counter delete", HELD)),
}
KEYS = [b"app:a", b"app:", b"exact", b"exact1", b"app", b"App:a", b"\xffapp:a", b"app:\xff" + b"k" * 245]


def may(verb: Verb, roles: tuple[Role, ...], key: bytes) -> bool:
    """The rule, written down once more: each class that is needed, on that key; without a key, on all keys."""

    def holds(command_class: str, names: str, keys: tuple[str, ...]) -> bool:
        covers = "*" in keys or (
            verb.keyed and any(key == k.encode() or (k[-1] == "*" and key.startswith(k[:-1].encode())) for k in keys)
        )
        return covers and (names == "*" or command_class in names.split())

    return all(any(holds(needed, *role) for role in roles) for needed in verb.classes)


def verdict(outcome: Outcome, denied: bytes) -> bool:
    """Whether it went up; whatever did not must have been denied in these words."""
    if outcome.upstream:
        assert (outcome.refusals, outcome.received) == ([], b"")
        return True
    assert [reason for reason, _ in outcome.refusals] == ["denied"], outcome
    assert (outcome.received, outcome.end) == (denied, "open")
    return False


def nothing_yet(_: bytes) -> bytes:
    """Upstream owes every answer: only the verdict matters."""
    return b""


@pytest.mark.parametrize("name", ROLES)
def test_text_and_binary_get_the_same_verdict(name: str) -> None:
    roles = ROLES[name]
    in_text: MakeParser = text(*roles)
    in_binary: MakeParser = binary(*roles)
    went_up = 0
    for verb in VERBS:
        for key in KEYS if verb.keyed else KEYS[:1]:
            expected = may(verb, roles, key)
            for line in verb.text(key):
                assert verdict(play(in_text, line, answer=nothing_yet), DENIED) is expected, f"{line!r}"
            for data in verb.binary(key):
                refusal = response(data[1], 0, packets.DENIED, value=b"access denied")
                assert verdict(play(in_binary, data, answer=nothing_yet), refusal) is expected, f"{data!r}"
            went_up += expected
    # Not all of them may be on the same side.
    assert went_up >= 2


def test_the_table_has_every_opcode() -> None:
    codes = {code for verb in VERBS for code in verb.codes}
    assert codes == {*range(0x25)} - {packets.QUIT, packets.QUITQ, packets.VERBOSITY, 0x1F, 0x20, 0x21, 0x22}
    assert {name for verb in KEYED for name in verb.classes} == CLASSES - {"flush", "stats", "admin"}
