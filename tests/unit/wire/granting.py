"""Rulesets for parsers under test. Compiling one takes a while, so each is made once."""

from functools import cache

from mcproxy.policy.grants import CLASSES, Role, Ruleset
from mcproxy.policy.keys import KeySet
from mcproxy.wire.binary import BinaryParser, BinaryRules
from mcproxy.wire.outcome import WireLimits
from mcproxy.wire.text import TextParser
from mcproxy.wire.text_rules import TextRules
from tests.unit.wire.driving import MakeParser

EVERYTHING = (("*", ("*",)),)
"""One role with every class on every key. A role is its classes, separated by blanks, and its keys."""

LIMITS = WireLimits(value=1000, keys=1000)


@cache
def ruleset(*roles: tuple[str, tuple[str, ...]]) -> Ruleset:
    """The ruleset of some roles."""
    return Ruleset(
        Role(CLASSES if classes == "*" else frozenset(classes.split()), KeySet.of(keys)) for classes, keys in roles
    )


@cache
def text_rules(roles: tuple[tuple[str, tuple[str, ...]], ...] = EVERYTHING, limits: WireLimits = LIMITS) -> TextRules:
    """Those of a text connection."""
    return TextRules(ruleset(*roles), limits)


@cache
def binary_rules(
    roles: tuple[tuple[str, tuple[str, ...]], ...] = EVERYTHING, limits: WireLimits = LIMITS
) -> BinaryRules:
    """Those of a binary connection."""
    return BinaryRules(ruleset(*roles), limits)


def text(
    *roles: tuple[str, tuple[str, ...]],
    token: bytes | None = None,
    mechanisms: bytes | None = None,
    limits: WireLimits = LIMITS,
    digest_overlong_keys: bool = False,
) -> MakeParser:
    """Makes text parsers for somebody with these roles; with everything if none is given."""
    rules = text_rules(roles or EVERYTHING, limits)
    return lambda sink: TextParser(rules, sink, token, mechanisms, digest_overlong_keys=digest_overlong_keys)


def binary(
    *roles: tuple[str, tuple[str, ...]], mechanisms: bytes | None = None, limits: WireLimits = LIMITS
) -> MakeParser:
    """Makes binary parsers for somebody with these roles; with everything if none is given."""
    rules = binary_rules(roles or EVERYTHING, limits)
    return lambda sink: BinaryParser(rules, sink, mechanisms)
