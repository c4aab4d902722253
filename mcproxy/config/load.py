"""A configuration file -> Settings, or everything that is wrong with it at once.

A mistake in one place doesn't hide those in others: the parts that are wrong by themselves are set aside, and the
rules and the machine are asked about the rest.
"""

from __future__ import annotations

import copy
import os
import select
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mcproxy.config import machine
from mcproxy.config.document import Document, DocumentError, read_document
from mcproxy.config.explain import explain
from mcproxy.config.names import is_label
from mcproxy.config.problems import ConfigurationError, Finding, Place, Problem, dotted
from mcproxy.config.rules import check_rules
from mcproxy.config.schema import Settings

LARGEST_FILE = 8 * 2**20
"""Bytes. Thousands of grants take less than one; whoever names /dev/zero should get an answer too."""

PIPE_PATIENCE = 10.0
"""Seconds without a byte from a pipe or terminal before it is given up."""

_STAND_INS: dict[str, dict[str, Any]] = {
    "listeners": {"bind": ["127.0.0.1:0"], "allow": [], "authentication": ["none"]},
    "tls": {"certificate": "/stand-in", "key": "/stand-in"},
    "roles": {"commands": ["read"]},
    "grants": {"roles": []},
    "upstream": {"address": "unix:/stand-in"},
}
"""What takes the place of required keys that are wrong, so that the rest can be judged. Others are left out. Findings
that rest on them are dropped."""


def load(path: Path) -> Settings:
    """The settings of a file, checked against the rules, the files that it names and this machine.

    Raises ConfigurationError with every problem.
    """
    path = Path(path)
    return loads(read_text(path), path)


def loads(text: str, path: Path, check_machine: bool = True) -> Settings:
    """As load, from text. `path` is for messages, and its directory is where relative file names start.

    Raises ConfigurationError.
    """
    document = _document(text, path)
    settings, findings, broken = _validate(document, path)
    problems_elsewhere: list[Problem] = []
    if settings is not None:
        later = list(check_rules(settings))
        if check_machine:
            later += machine.check_machine(settings)
            if settings.users_file is not None and ("users_file",) not in broken:  # wrong: such as given twice
                problems_elsewhere = machine.users_file_problems(settings.users_file)
        findings += [finding for finding in later if not _rests_on(finding, broken)]
    problem = partial(_problem, document, path)
    # Each once, in the order of the file.
    problems = sorted(map(problem, dict.fromkeys(findings)), key=lambda problem: problem.line or 0)
    if problems or problems_elsewhere or settings is None:
        raise ConfigurationError(problems + problems_elsewhere)
    settings.read_from(problem)
    return settings


def users_file_of(path: Path) -> Path:
    """The users file that a configuration names, whatever else is wrong with it: `user add` comes before the first
    start, when the file and perhaps the certificates are still to be made. Raises ConfigurationError."""
    document = _document(read_text(path), path)
    value = document.data.get("users_file")
    if value is None:
        message = f"is not in {path}; add it (users_file: /etc/mcproxy/users), or use --users-file"
        raise ConfigurationError([Problem(path, None, "users_file", message)])
    if not isinstance(value, str) or not value or "\0" in value:
        message = 'must be a file name, such as "/etc/mcproxy/users"'
        raise ConfigurationError([Problem(path, document.line(("users_file",)), "users_file", message)])
    return path.parent / value


def read_text(path: Path) -> str:
    """The text of a configuration file. Raises ConfigurationError."""
    try:
        content = _content(path)
    except TimeoutError:
        message = f"nothing comes out of it for {PIPE_PATIENCE:g} seconds; whoever writes to this pipe must be running"
        raise ConfigurationError([Problem(path, None, "", message)]) from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        message = f"can't be read: {reason}; name another with --config or MCPROXY_CONFIG"
        raise ConfigurationError([Problem(path, None, "", message)]) from None
    except ValueError:  # a NUL in the name
        raise ConfigurationError([Problem(path, None, "", "is not a file name")]) from None
    if len(content) > LARGEST_FILE:
        raise ConfigurationError([Problem(path, None, "", "is too large for a configuration file")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([Problem(path, line, "", "is not UTF-8 text")]) from None


def _content(path: Path) -> bytes:
    """At most a byte more than LARGEST_FILE. Raises OSError, TimeoutError among them.

    Pipes are welcome, for `<(...)` of a shell and /dev/stdin; but one that nobody writes to must not hang this.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        content = bytearray()
        while len(content) <= LARGEST_FILE:
            if not select.select([descriptor], [], [], PIPE_PATIENCE)[0]:
                raise TimeoutError
            chunk = os.read(descriptor, LARGEST_FILE + 1 - len(content))
            if not chunk:
                break
            content += chunk
        return bytes(content)
    finally:
        os.close(descriptor)


def _document(text: str, path: Path) -> Document:
    try:
        return read_document(text)
    except DocumentError as error:
        raise ConfigurationError([Problem(path, error.line, "", error.message)]) from None


def _validate(document: Document, path: Path) -> tuple[Settings | None, list[Finding], set[Place]]:
    """Settings of what is valid (None if the file has no shape at all), findings, and the parts set aside."""
    context = {"directory": path.parent}
    findings = list(document.findings)
    told = {finding.place for finding in findings}
    try:
        settings = Settings.model_validate(document.data, context=context)
    except ValidationError as error:
        findings += [finding for finding in explain(error) if finding.place not in told]
    else:
        return settings, findings, {_part(finding.place) for finding in findings}
    broken = {_part(finding.place) for finding in findings}
    # A key that was perhaps meant by an unknown one is in doubt too, unless it is there beside it.
    broken |= {_part(meant) for finding in findings for meant in finding.about if meant not in document.lines}
    data = copy.deepcopy(document.data)
    for part in broken:
        if not any(part[:length] in broken for length in range(1, len(part))):
            _set_aside(data, part)
    try:
        return Settings.model_validate(data, context=context), findings, broken
    except ValidationError:
        return None, findings, broken


def _part(place: Place) -> Place:
    """The smallest part of the document that is judged as one: a section's key with all that is in it."""
    if place[:1] == ("listeners",):
        return place[:4] if place[2:3] == ("tls",) else place[:3]
    if place[:1] in (("roles",), ("grants",)):
        return place[:3]
    return place[:2] if place[:1] in (("upstream",), ("limits",), ("admin",), ("logging",)) else place[:1]


def _set_aside(data: dict[str, Any], part: Place) -> None:
    """Take a wrong part out, or put a harmless one in its place where there must be one."""
    *parents, key = part
    inner: Any = data
    for parent in parents:
        inner = inner[parent]
    if part == ("listeners",):
        data["listeners"] = {"stand-in": _STAND_INS["listeners"]}
    elif part == ("upstream",):
        data["upstream"] = _STAND_INS["upstream"]
    elif len(part) == 2 and part[0] == "grants":
        inner[key] = _STAND_INS["grants"]
    elif len(part) == 2 and part[0] in ("listeners", "roles"):
        inner.pop(key)
        if is_label(str(key)):  # those who refer to it find it
            inner[key] = _STAND_INS[str(part[0])]
        elif part[0] == "listeners":
            inner["stand-in"] = _STAND_INS["listeners"]
    else:
        inner.pop(key, None)
        section = "tls" if len(part) == 4 else str(part[0])
        if key in _STAND_INS.get(section, {}):
            inner[key] = _STAND_INS[section][key]


def _rests_on(finding: Finding, broken: set[Place]) -> bool:
    places = (finding.place, *finding.about)
    return any(place[: len(part)] == part for place in places for part in broken)


def _problem(document: Document, path: Path, finding: Finding) -> Problem:
    return Problem(path, document.line(finding.place), dotted(finding.place), finding.message)
