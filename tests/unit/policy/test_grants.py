"""Grants: nothing that was not granted, and in text and binary the same (case 44)."""

import random

import pytest

from mcproxy.policy.grants import CLASSES, KEYED_CLASSES, Role, Ruleset
from mcproxy.policy.keys import KeySet
from mcproxy.wire.binary import BinaryParser, BinaryRules
from mcproxy.wire.outcome import Refusal, WireLimits
from mcproxy.wire.requests import Request
from mcproxy.wire.text import TextParser
from mcproxy.wire.text_rules import TextRules
from tests.support import packets
from tests.unit.wire.driving import Collector

LIMITS = WireLimits(value=1000, keys=10)


def role(classes: str, *keys: str) -> Role:
    return Role(CLASSES if classes == "*" else frozenset(classes.split()), KeySet.of(keys))


def test_nothing_without_a_grant():
    for rules in (Ruleset([]), Ruleset([role("*")])):
        for command_class in CLASSES:
            assert rules.key_pattern(command_class) is None
            assert not rules.allows(command_class)
            assert not rules.keys(command_class)


def test_roles_add_up_pair_by_pair():
    rules = Ruleset([role("read", "a:*"), role("write", "b:*"), role("read delete", "c", "d:*")])
    granted = {
        (command_class, key)
        for command_class in CLASSES
        for key in (b"a:1", b"b:1", b"c", b"d:1", b"e")
        if key in rules.keys(command_class)
    }
    assert granted == {
        ("read", b"a:1"),
        ("write", b"b:1"),
        ("read", b"c"),
        ("read", b"d:1"),
        ("delete", b"c"),
        ("delete", b"d:1"),
    }


def test_several_classes_are_all_needed():
    rules = Ruleset([role("read", "a:*", "x"), role("touch", "a:b:*", "x*"), role("write", "*")])
    both = rules.keys("read", "touch")
    assert [key for key in (b"a:1", b"a:b:1", b"x", b"xx", b"z") if key in both] == [b"a:b:1", b"x"]
    assert rules.keys("read", "write") == rules.keys("read")
    assert rules.key_pattern("read", "delete") is None


@pytest.mark.parametrize("command_class", sorted(CLASSES))
def test_a_class_without_keys_needs_all_keys(command_class):
    assert Ruleset([role(command_class, "*")]).allows(command_class)
    assert Ruleset([role(command_class, "a"), role(command_class, "b*", "*")]).allows(command_class)
    assert not Ruleset([role(command_class, "a*", "b*")]).allows(command_class)
    assert not Ruleset([role(" ".join(CLASSES - {command_class}), "*"), role(command_class, "a*")]).allows(
        command_class
    )


# One command of each kind in both protocols, for a key.
PAIRS = {
    "get": (b"get %s\r\n", [packets.GET, packets.GETQ, packets.GETK, packets.GETKQ]),
    "gets": (b"gets %s\r\n", [packets.GET]),
    "gat": (b"gat 0 %s\r\n", [packets.GAT, packets.GATQ, packets.GATK, packets.GATKQ]),
    "gats": (b"gats 0 %s\r\n", [packets.GAT]),
    "set": (b"set %s 0 0 5\r\nvalue\r\n", [packets.SET, packets.SETQ]),
    "add": (b"add %s 0 0 5\r\nvalue\r\n", [packets.ADD, packets.ADDQ]),
    "replace": (b"replace %s 0 0 5\r\nvalue\r\n", [packets.REPLACE, packets.REPLACEQ]),
    "append": (b"append %s 0 0 5\r\nvalue\r\n", [packets.APPEND, packets.APPENDQ]),
    "prepend": (b"prepend %s 0 0 5\r\nvalue\r\n", [packets.PREPEND, packets.PREPENDQ]),
    "cas": (b"cas %s 0 0 5 1\r\nvalue\r\n", [packets.SET]),
    "incr": (b"incr %s 1\r\n", [packets.INCR, packets.INCRQ]),
    "decr": (b"decr %s 1\r\n", [packets.DECR, packets.DECRQ]),
    "delete": (b"delete %s\r\n", [packets.DELETE, packets.DELETEQ]),
    "touch": (b"touch %s 0\r\n", [packets.TOUCH]),
}
NEEDS = {
    **{key: {"read"} for key in ["get", "gets"]},
    **{key: {"read", "touch"} for key in ["gat", "gats"]},
    **{key: {"write"} for key in ["set", "add", "replace", "append", "prepend", "cas"]},
    **{key: {"counter"} for key in ["incr", "decr"]},
    "delete": {"delete"},
    "touch": {"touch"},
}
KEYLESS = {
    b"flush_all": ("flush", packets.packet(packets.FLUSH)),
    b"flush_all 0": ("flush", packets.packet(packets.FLUSHQ, extras=b"\0\0\0\0")),
    b"version": (None, packets.packet(packets.VERSION)),
    b"mn": (None, packets.packet(packets.NOOP)),
    b"stats": ("stats", packets.packet(packets.STAT)),
    **{
        b"stats " + words: ("inspect", packets.packet(packets.STAT, words))
        for words in (b"items", b"slabs", b"sizes", b"settings", b"detail dump")
    },
    **{
        b"stats " + words: ("admin", packets.packet(packets.STAT, words))
        for words in (b"reset", b"detail on", b"detail off")
    },
}
ENTRIES = ["a", "ab", "abc", "a*", "ab*", "abc*", "b*", "b", "noreply", "*", "k" * 250, "k" * 249 + "*", "a:*", "a.b*"]
KEYS = [
    b"a",
    b"ab",
    b"abc",
    b"abcd",
    b"b",
    b"ba",
    b"c",
    b"a:1",
    b"a.b",
    b"axb",
    b"noreply",
    b"k" * 250,
    b"k" * 249 + b"x",
]
KEYS += [b"k" * 251, b"a\0", b"a\x7f", b"\x80", b"\xff" * 250]


def some_roles(chosen: random.Random) -> list[Role]:
    roles = []
    for _ in range(chosen.randint(0, 4)):
        classes = chosen.sample(sorted(CLASSES), chosen.randint(1, 5))
        roles.append(Role(frozenset(classes), KeySet.of(chosen.sample(ENTRIES, chosen.randint(0, 4)))))
    return roles


def verdict(outcome: object) -> str:
    """Granted, denied, or not a thing that may be asked."""
    if isinstance(outcome, Request):
        return "granted"
    assert isinstance(outcome, Refusal)
    return "denied" if outcome.denied else "refused"


def naive(roles: list[Role], classes: set[str], key: bytes) -> str:
    """What the roles say, without patterns: every class that is needed, from some role that has this key."""
    if len(key) > 250 or any(byte <= 0x20 or byte == 0x7F for byte in key):
        return "refused"
    for command_class in classes:
        if not any(
            command_class in role.classes
            and (key in role.keys.exact or any(key.startswith(prefix) for prefix in role.keys.prefixes))
            for role in roles
        ):
            return "denied"
    return "granted"


@pytest.mark.parametrize("seed", range(40))
def test_text_and_binary_say_what_the_roles_say(seed):
    """Case 44, for every verb and opcode."""
    roles = some_roles(random.Random(seed))
    rules = Ruleset(roles)
    text_rules, binary_rules = TextRules(rules, LIMITS), BinaryRules(rules, LIMITS)
    sink = Collector()
    for verb, (line, opcodes) in PAIRS.items():
        for key in KEYS:
            expected = naive(roles, NEEDS[verb], key)
            where = (verb, key, roles)
            assert verdict(TextParser(text_rules, sink).next(line % key, 0, 10)) == expected or (
                verb == "delete" and key == b"noreply"
            ), where
            spaced = line.replace(b" ", b"  ", 1) % key
            assert verdict(TextParser(text_rules, sink).next(spaced, 0, 10)) == expected or key == b"noreply", where
            for opcode in opcodes:
                packet = packets.with_key(opcode, key)
                assert verdict(BinaryParser(binary_rules, sink).next(packet, 0, 10)) == expected, (*where, opcode)
    for line, (command_class, packet) in KEYLESS.items():
        all_keys = any(command_class in role.classes and b"" in role.keys.prefixes for role in roles)
        expected = "granted" if command_class is None or all_keys else "denied"
        assert verdict(TextParser(text_rules, sink).next(line + b"\r\n", 0, 10)) == expected, (line, roles)
        assert verdict(BinaryParser(binary_rules, sink).next(packet, 0, 10)) == expected, (line, roles)


@pytest.mark.parametrize("seed", range(20))
def test_a_multi_get_is_as_granted_as_its_worst_key(seed):
    chosen = random.Random(500 + seed)
    roles = [*some_roles(chosen), role("read touch", *chosen.sample(ENTRIES, 5))]
    rules = TextRules(Ruleset(roles), LIMITS)
    good = [key for key in KEYS if naive(roles, {"read", "touch"}, key) != "refused"]
    for verb, needs in ((b"get", {"read"}), (b"gats 0", {"read", "touch"})):
        for _ in range(60):
            keys = chosen.choices(good, k=chosen.randint(1, 10))
            expected = "granted" if all(naive(roles, needs, key) == "granted" for key in keys) else "denied"
            data = verb + b" " + b" ".join(keys) + b"\r\n"
            outcome = TextParser(rules, Collector()).next(data, 0, 100)
            assert verdict(outcome) == expected, (data, roles)


def test_a_key_may_begin_like_http():
    """It is the last word of a command that is none that is taken for a browser, not a key."""
    rules = TextRules(Ruleset([role("read", "a*")]), LIMITS)
    for line in (b"get HTTP/1.1\r\n", b"get a HTTP/1.1\r\n", b"delete HTTP/1.1\r\n"):
        assert verdict(TextParser(rules, Collector()).next(line, 0, 10)) == "denied"


def test_every_class_is_known():
    assert KEYED_CLASSES <= CLASSES
    assert set().union(*NEEDS.values()) | {"flush", "stats", "inspect", "admin"} == CLASSES
