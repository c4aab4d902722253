"""The corpus of tests/corpus: frames as people write them down, and what must become of each.

Every file is a family of frames. A string's characters are the bytes of the same number, so "\\xff" is one byte. Braces
are for what would be long or dull to write:

    {k*251}           that text 251 times
    {verb}            a parameter; `for` gives its values, and every combination of them is a case of its own
    {cas}, {number}, {lines}   in a reply: a number or lines that memcached makes up

A case has a `name`, what the client sends (`send`), what goes upstream (`upstream`: bytes, "same", or nothing) and what
the client gets (`reply`). Optional are `as` (a role of roles.yaml, "everything" if none is named), `listener`, `before`
(text that memcached is told first, past the proxy), `lacks` (the command class that a refusal names) and `end`: "open",
"closed", "unfinished" (more of the frame is waited for) or "endless" (the reply has no end). `unless` leaves out the
combinations in which its two texts are the same.
"""

import functools
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support import corpus_packets
from tests.support.corpus_packets import without_opaques

DIRECTORY = Path(__file__).parent.parent / "corpus"
ENDS = ("open", "closed", "unfinished", "endless")
FIELDS = {"name", "for", "as", "listener", "before", "send", "upstream", "reply", "lacks", "end", "unless"}
VALUE_LIMIT, KEYS_LIMIT = 1000, 200
"""The limits that the corpus counts on; others are the defaults."""

LISTENERS: dict[str, dict[str, str]] = {"plain": {}, "digest": {"overlong_keys": "digest"}}
"""What each listener that a case may name is configured with."""

_REPEAT = re.compile(r"\{([^{}*]+)\*(\d+)\}")
_PARAMETER = re.compile(r"\{([a-z_]+)\}")
_MADE_UP = {"cas": rb"[0-9]+", "number": rb"-?[0-9]+", "lines": rb"(?:[A-Z]+ [^\r\n]*\r\n)*"}
_Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One frame, or a few, and what must become of them. `reply` is a pattern of all that the client gets.

    `rule` names the entry of the file that this is a combination of.
    """

    name: str
    family: str
    rule: str
    binary: bool
    role: str
    listener: str
    before: bytes
    sent: bytes
    upstream: bytes
    reply: "re.Pattern[bytes]"
    lacks: str
    end: str

    def __str__(self) -> str:
        return f"{self.family}: {self.name}"


def roles() -> dict[str, dict[str, list[str]]]:
    """Name to what a configuration file says of that role."""
    return dict(yaml.safe_load((DIRECTORY / "roles.yaml").read_text()))


@functools.cache
def cases() -> tuple[Case, ...]:
    """The whole corpus. Raises ValueError for an entry that is written wrongly, or a name that is there twice."""
    found: list[Case] = []
    for path in sorted(DIRECTORY.glob("*.yaml")):
        if path.stem != "roles":
            found += _family(path.stem, yaml.load(path.read_text(), Loader=_LOADER))
    names = [str(case) for case in found]
    twice = {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set()
    if twice:
        raise ValueError(f"cases of the same name: {sorted(twice)[:5]}")
    return tuple(found)


@functools.cache
def rules() -> dict[str, list[Case]]:
    """The cases of each entry, which one test runs together."""
    found: dict[str, list[Case]] = {}
    for case in cases():
        found.setdefault(case.rule, []).append(case)
    return found


# The one written in C where there is one: the corpus is read whenever its tests are collected.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _family(family: str, document: Mapping[str, Any]) -> Iterator[Case]:
    lists = document.get("lists", {})
    binary = bool(document.get("binary", False))
    for entry in document["cases"]:
        if unknown := set(entry) - FIELDS:
            raise ValueError(f"{family}: {entry.get('name')}: what is {sorted(unknown)}?")
        for values in _combinations(entry.get("for", {}), lists):
            if not _left_out(entry, values):
                yield _case(family, binary, entry, values)


def _combinations(dimensions: Mapping[str, Any], lists: Mapping[str, Any]) -> Iterator[_Values]:
    """Every combination of the parameters' values. A value that is a mapping gives several parameters at once."""
    choices = [
        [value if isinstance(value, dict) else {name: value} for value in _list(values, lists)]
        for name, values in dimensions.items()
    ]
    for combination in itertools.product(*choices):
        yield {name: value for part in combination for name, value in part.items()}


def _left_out(entry: Mapping[str, Any], values: _Values) -> bool:
    return "unless" in entry and len({_fill(text, values) for text in entry["unless"]}) == 1


def _list(values: Any, lists: Mapping[str, Any]) -> list[Any]:
    return list(lists[values] if isinstance(values, str) else values)


def _case(family: str, binary: bool, entry: Mapping[str, Any], values: _Values) -> Case:
    name = _fill(entry["name"], values).encode("latin-1").decode("latin-1")
    end = _fill(entry.get("end", "open"), values)
    if end not in ENDS:
        raise ValueError(f"{family}: {name}: no such end: {end}")
    sent = _data(entry["send"], values)
    upstream = entry.get("upstream", "")
    if isinstance(upstream, str):
        upstream = _fill(upstream, values)
    going_up = sent if upstream == "same" else _data(upstream, values)
    return Case(
        name=shown(name),
        family=family,
        rule=shown(f"{family}: {entry['name']}"),
        binary=binary,
        role=_fill(entry.get("as", "everything"), values),
        listener=_fill(entry.get("listener", "plain"), values),
        before=_text(entry.get("before", ""), values),
        sent=sent,
        upstream=without_opaques(going_up) if binary else going_up,
        reply=_pattern(entry.get("reply", ""), values),
        lacks=_fill(entry.get("lacks", ""), values),
        end=end,
    )


def shown(name: str) -> str:
    """A name without long runs and control bytes, as a test's id has to be."""
    shorter = re.sub(r"(.)\1{15,}", lambda run: f"{run[1]}*{len(run[0])}", name)
    return shorter.encode("unicode_escape").decode()


def _fill(text: str, values: _Values) -> str:
    """Put in the parameters, whose values may have parameters themselves, then the repetitions."""
    for _ in range(2):
        text = _PARAMETER.sub(lambda match: str(values.get(match[1], match[0])), text)
    return _REPEAT.sub(lambda match: match[1] * int(match[2]), text)


def _text(text: str, values: _Values) -> bytes:
    return _fill(text, values).encode("latin-1")


def _data(written: Any, values: _Values) -> bytes:
    """Text, or a list of packets."""
    if isinstance(written, str):
        return _text(written, values)
    return b"".join(
        _text(item, values)
        if isinstance(item, str)
        else corpus_packets.request(item, functools.partial(_fill, values=values))
        for item in written
    )


def _pattern(written: Any, values: _Values) -> "re.Pattern[bytes]":
    if not isinstance(written, str):
        fill = functools.partial(_fill, values=values)
        parts = [b".*" if item == "anything" else corpus_packets.response(item, fill) for item in written]
        return re.compile(b"".join(parts), re.DOTALL)
    split = _PARAMETER.split(_fill(written, values))
    texts, tokens = split[::2], split[1::2]
    if unknown := set(tokens) - set(_MADE_UP):
        raise ValueError(f"no such parameter: {unknown}")
    pattern = b"".join(
        re.escape(text.encode("latin-1")) + (_MADE_UP[token] if token else b"")
        for text, token in itertools.zip_longest(texts, tokens)
    )
    return re.compile(pattern, re.DOTALL)
