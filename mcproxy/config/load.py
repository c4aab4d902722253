"""A configuration file -> Settings, or everything that is wrong with it at once.

A mistake in one place doesn't hide those in others: the parts that are wrong by themselves are set aside, and the
rules and the machine are asked about the rest.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from mcproxy.auth.users import Users, UsersFileError, parse_users
from mcproxy.config.document import Document, DocumentError, read_document
from mcproxy.config.explain import explain
from mcproxy.config.look import Look, look
from mcproxy.config.machine import check_machine
from mcproxy.config.material import Files, Material, in_memory, named_files, read_files
from mcproxy.config.names import is_label
from mcproxy.config.problems import ConfigurationError, Finding, Place, Problem, dotted
from mcproxy.config.rules import check_rules
from mcproxy.config.schema import Settings, is_file_name
from mcproxy.config.source import PASSING, NotReadNow, read_text
from mcproxy.config.stand_in import check_stand_in_key
from mcproxy.files.stand_in_key import StandInKeyError, stand_in_key_path

_STAND_INS: dict[str, dict[str, Any]] = {
    "listeners": {"bind": ["127.0.0.1:0"], "allow": [], "authentication": ["none"]},
    "listeners.tls": {"certificate": "/stand-in", "key": "/stand-in"},
    "roles": {"commands": ["read"]},
    "grants": {"roles": []},
    "upstreams": {"address": "unix:/stand-in"},
    "upstreams.tls": {"ca": "/stand-in"},
    "upstreams.login": {"method": "sasl"},
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
    return Reading(text, path, check_machine=check_machine).material().settings


class Reading:
    """One look at a configuration and what it names.

    `files` are given where somebody has read and checked them before; without `check_machine` none are looked at.
    `stand_in_key` gives the key of the stand-ins that belong to a users file; it may raise StandInKeyError.
    """

    def __init__(
        self,
        text: str,
        path: Path,
        *,
        files: Files | None = None,
        check_machine: bool = True,
        stand_in_key: Callable[[Settings], bytes | None] = check_stand_in_key,
    ) -> None:
        self._text = text
        self._path = path
        self._given = files
        self._check_machine = check_machine
        self._stand_in_key = stand_in_key
        self.look: Look = {}
        """How the files that the configuration names were before they were read; filled by `material`, whatever it
        raises."""

    def material(self) -> Material:
        """Raises ConfigurationError with every problem."""
        document = _document(self._text, self._path)
        settings, findings, broken = _validate(document, self._path)
        problem = partial(_problem, document, self._path)
        problems_elsewhere: list[Problem] = []
        files: Files = {}
        users = Users(())
        key: bytes | None = None
        if settings is not None:
            paths = {path for _, path in named_files(settings)}
            if settings.users_file is not None:
                paths.add(stand_in_key_path(settings.users_file))
            self.look = look(paths)
            later = list(check_rules(settings))
            if self._given is not None:
                files = self._given
            elif self._check_machine:
                files = read_files(settings)
                later += _machine_findings(settings, files)
            if settings.users_file in files and ("users_file",) not in broken:  # wrong: such as given twice
                try:
                    key = self._stand_in_key(settings)
                except StandInKeyError as error:
                    if isinstance(error.__cause__, OSError) and error.__cause__.errno in PASSING:
                        raise NotReadNow([Problem(self._path, None, "users_file", str(error))]) from None
                    problems_elsewhere = [problem(Finding(("users_file",), str(error)))]
                users, wrong_lines = _users(settings.users_file, files, key)
                problems_elsewhere += wrong_lines
            findings += [finding for finding in later if not _rests_on(finding, broken)]
        # Each once, in the order of the file.
        problems = sorted(map(problem, dict.fromkeys(findings)), key=lambda problem: problem.line or 0)
        if problems or problems_elsewhere or settings is None:
            raise ConfigurationError(problems + problems_elsewhere)
        settings.read_from(problem)
        return Material(self._path, self._text, files, settings, users, key)


def _machine_findings(settings: Settings, files: Files) -> Iterable[Finding]:
    """What the machine says of the files as they were read.

    The users file keeps its name, by which its stand-in key is found; its lines are checked elsewhere.
    """
    others = {path: file for path, file in files.items() if path != settings.users_file}
    with in_memory(settings, others) as (readable, with_real_names):
        for finding in check_machine(readable):
            yield finding._replace(message=with_real_names(finding.message))


def _users(path: Path, files: Files, key: bytes | None) -> tuple[Users, list[Problem]]:
    try:
        return parse_users(files[path].content.decode("utf-8"), key), []
    except UnicodeDecodeError:
        return Users(()), [Problem(path, None, "", "is not UTF-8 text")]
    except UsersFileError as error:
        return Users(()), [Problem(path, problem.line, "", problem.message) for problem in error.problems]


def users_file_of(path: Path) -> Path:
    """The users file that a configuration names, whatever else is wrong with it: `user add` comes before the first
    start, when the file and perhaps the certificates are still to be made. Raises ConfigurationError."""
    document = _document(read_text(path), path)
    value = document.data.get("users_file")
    if value is None:
        message = f"is not in {path}; add it (users_file: /etc/mcproxy/users), or use --users-file"
        raise ConfigurationError([Problem(path, None, "users_file", message)])
    if not isinstance(value, str) or not value or not is_file_name(value):
        message = 'must be a file name, such as "/etc/mcproxy/users"'
        raise ConfigurationError([Problem(path, document.line(("users_file",)), "users_file", message)])
    return path.parent / value


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


_NAMED = ("listeners", "upstreams", "roles", "grants")
_INNER = ("tls", "login")


def _part(place: Place) -> Place:
    """The smallest part of the document that is judged as one: a section's key with all that is in it."""
    if place[:1] in (("listeners",), ("upstreams",)):
        return place[:4] if place[2:3] and place[2] in _INNER else place[:3]
    if place[:1] in (("roles",), ("grants",)):
        return place[:3]
    if place[:1] == ("upstream",):
        return place[:3] if place[1:2] and place[1] in _INNER else place[:2]
    return place[:2] if place[:1] in (("limits",), ("admin",), ("logging",)) else place[:1]


def _set_aside(data: dict[str, Any], part: Place) -> None:
    """Take a wrong part out, or put a harmless one in its place where there must be one."""
    *parents, key = part
    inner: Any = data
    for parent in parents:
        inner = inner[parent]
    if part == ("listeners",):
        data["listeners"] = {"stand-in": _STAND_INS["listeners"]}
    elif part == ("upstream",):
        data["upstream"] = _STAND_INS["upstreams"]
    elif len(part) == 2 and part[0] == "grants":
        inner[key] = _STAND_INS["grants"]
    elif len(part) == 2 and part[0] in _NAMED:
        inner.pop(key)
        if is_label(str(key)):  # those who refer to it find it
            inner[key] = _STAND_INS[str(part[0])]
        elif part[0] == "listeners":
            inner["stand-in"] = _STAND_INS["listeners"]
    else:
        inner.pop(key, None)
        stand_in = _STAND_INS.get(_section(part), {})
        if key in stand_in:
            inner[key] = stand_in[key]


def _section(part: Place) -> str:
    """What stand-ins know the section of a key as, whichever form the upstreams have."""
    if part[0] == "upstream":
        part = ("upstreams", "", *part[1:])
    return f"{part[0]}.{part[2]}" if len(part) == 4 else str(part[0])


def _rests_on(finding: Finding, broken: set[Place]) -> bool:
    places = (finding.place, *finding.about)
    # A section isn't empty for having names that are wrong, which were taken out.
    taken_out = {part[:1] for part in broken if len(part) == 2 and part[0] in _NAMED and not is_label(str(part[1]))}
    return finding.place in taken_out or any(place[: len(part)] == part for place in places for part in broken)


def _problem(document: Document, path: Path, finding: Finding) -> Problem:
    return Problem(path, document.line(finding.place), dotted(finding.place), finding.message)
