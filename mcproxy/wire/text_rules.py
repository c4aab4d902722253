"""The text commands as data: one pattern per ruleset, whose KEY only matches keys that the principal may touch.

What the pattern matches is canonical and granted, and goes upstream as it is. What it doesn't match may be spelled
differently, be malformed, or be denied; wire.text finds out which. There is no third way upstream.
"""

import re
from dataclasses import dataclass, replace

from mcproxy.wire import grammar
from mcproxy.wire.outcome import Grants, WireLimits
from mcproxy.wire.retrieval import VALUE, VALUE_WITH_CAS, Matcher


def _replies(*lines: bytes) -> "re.Pattern[bytes]":
    return re.compile(b"(?:" + b"|".join(lines) + b")\r\n|" + grammar.SERVER_ERROR)


# For verbs that aren't answered by one line.
NO_REPLY = re.compile(rb"(?!)")
_CONDITIONAL = _replies(b"STORED", b"NOT_STORED")
_ARITHMETIC = _replies(rb"[0-9]{1,20}", b"NOT_FOUND", b"CLIENT_ERROR cannot increment or decrement non-numeric value")


@dataclass(frozen=True, slots=True)
class Verb:
    """One verb of protocol.txt: the classes it needs (on each of its keys), and the lines that may answer it."""

    classes: tuple[str, ...]
    replies: "re.Pattern[bytes]" = NO_REPLY


STORAGE = {
    b"set": Verb(("write",), _replies(b"STORED")),
    b"add": Verb(("write",), _CONDITIONAL),
    b"replace": Verb(("write",), _CONDITIONAL),
    b"append": Verb(("write",), _CONDITIONAL),
    b"prepend": Verb(("write",), _CONDITIONAL),
    b"cas": Verb(("write",), _replies(b"STORED", b"EXISTS", b"NOT_FOUND")),
}
RETRIEVAL = {
    b"get": Verb(("read",)),
    b"gets": Verb(("read",)),
    b"gat": Verb(("read", "touch")),
    b"gats": Verb(("read", "touch")),
}
KEYED = {
    b"incr": Verb(("counter",), _ARITHMETIC),
    b"decr": Verb(("counter",), _ARITHMETIC),
    b"delete": Verb(("delete",), _replies(b"DELETED", b"NOT_FOUND")),
    b"touch": Verb(("touch",), _replies(b"TOUCHED", b"NOT_FOUND")),
}
KEYLESS = {
    b"flush_all": Verb(("flush",), _replies(b"OK", b"CLIENT_ERROR flush_all not allowed")),
    b"verbosity": Verb(("admin",), _replies(b"OK")),
    b"version": Verb((), _replies(rb"VERSION [\x21-\x7e]{1,64}")),
    b"mn": Verb((), _replies(b"MN")),
}
# Exact words only: newer memcacheds take prefixes, and "stats r" resets.
STATS = {
    b"stats": "stats",
    b"stats items": "inspect",
    b"stats slabs": "inspect",
    b"stats sizes": "inspect",
    b"stats settings": "inspect",
    b"stats conns": "inspect",
    b"stats extstore": "inspect",
    b"stats detail dump": "inspect",
    b"stats cachedump": "inspect",
    b"stats reset": "admin",
    b"stats detail on": "admin",
    b"stats detail off": "admin",
}
_CACHEDUMP = rb"stats cachedump (?:[1-9]|[1-5][0-9]|6[0-3]) " + grammar.UINT32


@dataclass(frozen=True, slots=True)
class Form:
    """One alternative of the pattern, and what a frame that it matches is.

    `count` is the class it is counted under, "other" for what everybody may. `skip` is the distance from the start of a
    retrieval line to the space before its first key, 0 if that varies; `header` matches its VALUE lines. `may_be_long`:
    it may be a longer line than memcached should be given.
    """

    kind: str
    count: str
    replies: "re.Pattern[bytes]" = NO_REPLY
    skip: int = 0
    header: Matcher = VALUE.match
    may_be_long: bool = False


class TextRules:
    """The grammar of one ruleset. `match` finds a canonical, granted frame at a position; `forms` tells what it is.

    `forms` is indexed by the match's lastindex, the number of the alternative's group. Its own groups come next: for
    storage the length and " noreply", for other answered lines " noreply".
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
        self._add_retrieval()
        self._add_storage()
        self._add_lines()
        # Without any grant even mn and version remain, so the pattern is never empty.
        self.match: Matcher = re.compile(b"|".join(self._alternatives)).match

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
            )
            command = name if get else name + b" " + grammar.EXPTIME
            # Pipelined gets are one match: that is what makes them cheap.
            self._add(b"(?:%s(?: %s){1,%d}\r\n)%s" % (command, key, few, b"+" if get else b""), form)
            if per_line > few:
                long = replace(form, may_be_long=True)
                self._add(b"%s(?: %s){%d,%d}\r\n" % (command, key, few + 1, per_line), long)

    def _add_storage(self) -> None:
        length = b"(" + grammar.decimal_at_most(self.limits.value) + b")"
        for name, verb in STORAGE.items():
            if (key := self._key_patterns[verb.classes]) is None:
                continue
            unique = b" " + grammar.CAS_UNIQUE if name == b"cas" else b""
            line = b"%s %s %s %s %s%s( noreply)?\r\n" % (name, key, grammar.FLAGS, grammar.EXPTIME, length, unique)
            self._add(line, Form("storage", verb.classes[-1], verb.replies))

    def _add_lines(self) -> None:
        for name, verb in KEYED.items():
            if (key := self._key_patterns[verb.classes]) is None:
                continue
            argument = {b"delete": b"", b"touch": b" " + grammar.EXPTIME}.get(name, b" " + grammar.UINT64)
            if name == b"delete":
                # "delete noreply" is a key to 1.6.18, a flag without a key to newer ones.
                key = rb"(?!noreply[ \r])" + key
            self._add(b"%s %s%s( noreply)?\r\n" % (name, key, argument), Form("line", verb.classes[-1], verb.replies))
        for name, verb in KEYLESS.items():
            if all(self.allows(command_class) for command_class in verb.classes):
                argument = b" [012]" if name == b"verbosity" else b""
                noreply = b"( noreply)?" if verb.classes else b"()"
                count = verb.classes[-1] if verb.classes else "other"
                self._add(name + argument + noreply + b"\r\n", Form("line", count, verb.replies))
        for words, command_class in STATS.items():
            if self.allows(command_class):
                line = _CACHEDUMP if words == b"stats cachedump" else words
                self._add(line + b"\r\n", Form("stats", command_class))
