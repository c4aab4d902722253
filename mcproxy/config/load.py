"""A configuration file -> Settings, or everything that is wrong with it at once.

A mistake in one place doesn't hide those in others: the parts that are wrong by themselves are set aside, and the
rules and the machine are asked about the rest.
"""

from __future__ import annotations

import copy
import os
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

_STAND_INS: dict[str, Any] = {
    "listeners": {"bind": ["127.0.0.1:0"], "allow": [], "authentication": ["none"]},
    "roles": {"commands": ["read"]},
    "grants": {"user": "stand-in", "roles": []},
    "upstream": {"address": "unix:/stand-in-upstream"},
    "users_file": "/stand-in",
}
"""What takes the place of a part that is wrong, so that the rest can be judged; findings about it are dropped."""


def load(path: Path) -> Settings:
    """The settings of a file, checked against the rules, the files that it names and this machine.

    Raises ConfigurationError with every problem.
    """
    path = Path(path)
    return loads(_read(path), path)


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
            if settings.users_file is not None and ("users_file",) not in broken:
                problems_elsewhere = machine.users_file_problems(settings.users_file)
        findings += [finding for finding in later if not _rests_on(finding, broken)]
    problems = _problems(findings, document, path) + problems_elsewhere
    if problems or settings is None:
        raise ConfigurationError(problems)
    return settings


def users_file_of(path: Path) -> Path:
    """The users file that a configuration names, whatever else is wrong with it: `user add` comes before the first
    start, when the file and perhaps the certificates are still to be made. Raises ConfigurationError."""
    document = _document(_read(path), path)
    value = document.data.get("users_file")
    if value is None:
        message = f"is not in {path}; add it (users_file: /etc/mcproxy/users), or use --users-file"
        raise ConfigurationError([Problem(path, None, "users_file", message)])
    if not isinstance(value, str) or not value or "\0" in value:
        message = 'must be a file name, such as "/etc/mcproxy/users"'
        raise ConfigurationError([Problem(path, document.line(("users_file",)), "users_file", message)])
    return path.parent / value


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
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
    data = copy.deepcopy(document.data)
    for part in broken:
        if part[:1] == part or part[:1] not in broken:
            _set_aside(data, part)
    try:
        return Settings.model_validate(data, context=context), findings, broken
    except ValidationError:
        return None, findings, broken


def _part(place: Place) -> Place:
    """The smallest part of the document that is judged as one: a listener, a role, a grant, else a whole section."""
    return place[:2] if place and place[0] in ("listeners", "roles", "grants") else place[:1]


def _set_aside(data: dict[str, Any], part: Place) -> None:
    """Put a harmless part in the place of a wrong one; a role keeps its name, for those who refer to it."""
    section: Any = part[0]
    stand_in = _STAND_INS.get(section)
    if len(part) == 1:
        data.pop(section, None)
        if section == "listeners":
            data[section] = {"stand-in": stand_in}
        elif section in ("upstream", "users_file"):
            data[section] = stand_in
    elif section == "grants":
        data[section][part[1]] = stand_in
    else:
        name = str(part[1])
        data[section].pop(part[1])
        data[section][name if is_label(name) else "stand-in"] = stand_in


def _rests_on(finding: Finding, broken: set[Place]) -> bool:
    places = (finding.place, finding.about)
    return any(place[: len(part)] == part for place in places for part in broken)


def _problems(findings: list[Finding], document: Document, path: Path) -> list[Problem]:
    """Findings with their lines, each once, in the order of the file."""
    problems = [
        Problem(path, document.line(finding.place), dotted(finding.place), finding.message)
        for finding in dict.fromkeys(findings)
    ]
    return sorted(problems, key=lambda problem: problem.line or 0)
