"""The text commands as data: one pattern per ruleset, whose KEY only matches keys that the principal may touch.

What the pattern matches is canonical and granted, and goes upstream as it is. What it doesn't match may be spelled
differently, be malformed, or be denied; wire.text finds out which. There is no third way upstream.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from mcproxy.wire import grammar
from mcproxy.wire.administration import COMMANDS
from mcproxy.wire.outcome import Grants, WireLimits
from mcproxy.wire.requests import Request, Sink, one_of
from mcproxy.wire.retrieval import VALUE, VALUE_WITH_CAS, Matcher

# Bytes of a flag that are worth looking at, and words of a meta command: an opaque may have 32 bytes, and memcached
# itself takes no more than 20 words. All of it stays within the shortest `limits.line`.
_LONGEST_FLAG: Final = 64
_MOST_TOKENS: Final = 24
# For verbs that aren't answered by one line.
NO_REPLY: Final = re.compile(rb"(?!)")
_CONDITIONAL: Final = one_of(b"STORED", b"NOT_STORED")
_ARITHMETIC: Final = one_of(
    rb"[0-9]{1,20}", b"NOT_FOUND", b"CLIENT_ERROR cannot increment or decrement non-numeric value"
)


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of protocol.txt: the classes it needs (on each of its keys), and the lines that may answer it."""

    classes: tuple[str, ...]
    replies: "re.Pattern[bytes]" = NO_REPLY


STORAGE: Final = {
    b"set": Verb(("write",), one_of(b"STORED")),
    b"add": Verb(("write",), _CONDITIONAL),
    b"replace": Verb(("write",), _CONDITIONAL),
    b"append": Verb(("write",), _CONDITIONAL),
    b"prepend": Verb(("write",), _CONDITIONAL),
    b"cas": Verb(("write",), one_of(b"STORED", b"EXISTS", b"NOT_FOUND")),
}
RETRIEVAL: Final = {
    b"get": Verb(("read",)),
    b"gets": Verb(("read",)),
    b"gat": Verb(("read", "touch")),
    b"gats": Verb(("read", "touch")),
}
KEYED: Final = {
    b"incr": Verb(("counter",), _ARITHMETIC),
    b"decr": Verb(("counter",), _ARITHMETIC),
    b"delete": Verb(("delete",), one_of(b"DELETED", b"NOT_FOUND")),
    b"touch": Verb(("touch",), one_of(b"TOUCHED", b"NOT_FOUND")),
}


@dataclass(frozen=True, slots=True)
class Form:
    """One alternative of the pattern, and what a frame that it matches is.

    `count` is the class it is counted under, "other" for what everybody may. `skip` is the distance from the
    start of a retrieval line to the space before its first key, 0 if that varies; `header` matches its VALUE lines.
    `gathers`: lines of one key may go up together with others'. `may_be_long`: it may be a longer line than memcached
    should be given. `private` makes the request of a command that needs a link of its own.
    """

    kind: str
    count: str
    replies: "re.Pattern[bytes]" = NO_REPLY
    skip: int = 0
    header: Matcher = VALUE.match
    gathers: bool = False
    may_be_long: bool = False
    private: Callable[[Sink, bytes, str], Request] | None = None


class TextRules:
    """The grammar of one ruleset. `match` finds a canonical, granted frame at a position; `forms` tells what it is.

    `forms` is indexed by the match's lastindex, the number of the alternative's group. Its own groups come next: for
    storage the length and " noreply", for a "line" " noreply" (a "bare line" has none), for meta commands the verb, the
    key, ms's length, and the flags (see wire.meta).
    """

    def __init__(self, grants: Grants, limits: WireLimits) -> None:
        self.limits = limits
        self.allows = grants.allows
        self.forms: dict[int, Form] = {}
        # For each verb with keys: a match if the principal has it on that key; None if it has it on none.
        self.grants_key: dict[bytes, Matcher | None] = {}
        self._alternatives: list[bytes] = []
        self._groups = 0
        self._key_patterns: dict[tuple[str, ...], bytes | None] = {}
        for table in (RETRIEVAL, STORAGE, KEYED):
            for name, verb in table.items():
                if verb.classes not in self._key_patterns:
                    self._key_patterns[verb.classes] = grants.key_pattern(*verb.classes)
                pattern = self._key_patterns[verb.classes]
                self.grants_key[name] = None if pattern is None else re.compile(pattern).fullmatch
        self._class_patterns: dict[str, Matcher | None] = {}
        self._key_pattern = grants.key_pattern
        self._add_retrieval()
        self._add_storage()
        self._add_keyed()
        self._add_meta()
        self._add_keyless()
        # Without any grant even mn and version remain, so the pattern is never empty.
        self.match: Matcher = re.compile(b"|".join(self._alternatives)).match

    def grants_class(self, command_class: str, key: bytes) -> bool:
        """Whether a class is granted on a key. For what can't be asked of the line itself, as with base64."""
        if command_class not in self._class_patterns:
            pattern = self._key_pattern(command_class)
            self._class_patterns[command_class] = None if pattern is None else re.compile(pattern).fullmatch
        matches = self._class_patterns[command_class]
        return matches is not None and matches(key) is not None

    def _add(self, pattern: bytes, form: Form) -> None:
        self._alternatives.append(b"(" + pattern + b")")
        self.forms[self._groups + 1] = form
        self._groups += 1 + re.compile(pattern).groups

    def _add_retrieval(self) -> None:
        per_line = min(grammar.KEYS_PER_LINE, self.limits.keys)
        few = min(grammar.KEYS_OF_ANY_LENGTH, per_line)
        for name, verb in RETRIEVAL.items():
            if (key := self._key_patterns[verb.classes]) is None:
                continue
            get = name.startswith(b"get")
            form = Form(
                "retrieval",
                verb.classes[-1],
                skip=len(name) if get else 0,
                header=VALUE_WITH_CAS.match if name.endswith(b"s") else VALUE.match,
                gathers=name == b"get",
            )
            command = name if get else name + b" " + grammar.EXPTIME
            # Pipelined gets are one match: that is what makes them cheap.
            self._add(b"(?:%s(?: %s){1,%d}\r\n)%s" % (command, key, few, b"+" if get else b""), form)
            if per_line > few:
                long = replace(form, gathers=False, may_be_long=True)
                self._add(b"%s(?: %s){%d,%d}\r\n" % (command, key, few + 1, per_line), long)

    def _add_storage(self) -> None:
        length = b"(" + grammar.decimal_at_most(self.limits.value) + b")"
        for name, verb in STORAGE.items():
            if (key := self._key_patterns[verb.classes]) is None:
                continue
            unique = b" " + grammar.CAS_UNIQUE if name == b"cas" else b""
            line = b"%s %s %s %s %s%s( noreply)?\r\n" % (name, key, grammar.FLAGS, grammar.EXPTIME, length, unique)
            self._add(line, Form("storage", verb.classes[-1], verb.replies))

    def _add_meta(self) -> None:
        """Only their outer form: what a key means depends on the flags, and so does what must be granted on it."""
        key = b"(" + grammar.KEY + b")"
        flag = b" " + grammar.KEY_BYTE + b"{1,%d}+" % _LONGEST_FLAG
        most = min(self.limits.tokens, _MOST_TOKENS) - 2
        self._add(b"(m[gda]) %s((?:%s){0,%d})\r\n" % (key, flag, most), Form("meta", ""))
        length = b"(" + grammar.decimal_at_most(grammar.LARGEST_LENGTH) + b")"
        self._add(b"(ms) %s %s((?:%s){0,%d})\r\n" % (key, length, flag, most - 1), Form("meta", ""))
        self._add(b"(me) %s( b)?\r\n" % key, Form("meta", "inspect"))

    def _add_keyed(self) -> None:
        for name, verb in KEYED.items():
            if (key := self._key_patterns[verb.classes]) is None:
                continue
            argument = {b"delete": b"", b"touch": b" " + grammar.EXPTIME}.get(name, b" " + grammar.UINT64)
            if name == b"delete":
                # "delete noreply" is a key to 1.6.18, a flag without a key to newer ones.
                key = rb"(?!noreply[ \r])" + key
            self._add(b"%s %s%s( noreply)?\r\n" % (name, key, argument), Form("line", verb.classes[-1], verb.replies))

    def _add_keyless(self) -> None:
        # One alternative for all that are answered alike: every group costs each match a little.
        alike: dict[Form, list[bytes]] = {}
        for command in COMMANDS:
            if not command.command_class or self.allows(command.command_class):
                kind = "line" if command.noreply else "bare line"
                form = Form(kind, command.command_class or "other", command.replies, private=command.private)
                alike.setdefault(form, []).append(command.line)
        for form, lines in alike.items():
            noreply = b"( noreply)?" if form.kind == "line" else b""
            self._add(b"(?:" + b"|".join(lines) + b")" + noreply + b"\r\n", form)
