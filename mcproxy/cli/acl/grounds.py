"""Why a request may pass, or what is missing: the classes that it needs on its keys, and the roles that give them.

Which classes a command needs is asked of the grammar itself, by rules that grant everything but one class: so there is
no second list of commands here that could say something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mcproxy.auth.principals import Principal
from mcproxy.cli.acl.judging import Circumstances, frames
from mcproxy.config.problems import Finding
from mcproxy.config.schema import Settings
from mcproxy.policy.grants import ALL_KEYS, CLASSES, Role, Ruleset
from mcproxy.policy.keys import KeySet
from mcproxy.wire.meta_requests import MetaDebug, MetaRequest
from mcproxy.wire.outcome import WireLimits
from mcproxy.wire.requests import Request
from mcproxy.wire.retrieval import Retrieval
from mcproxy.wire.text_rules import KEYED, STORAGE, TextRules

_SHOWN = 3
"""Keys, or roles."""
_LONGEST_SHOWN = 60
"""Characters."""


@dataclass(frozen=True)
class GrantedRole:
    """One role of a principal, and where it comes from: `given` is for people."""

    name: str
    role: Role
    keys: Sequence[str]
    given: str

    def covers(self, command_class: str, keys: Sequence[bytes]) -> bool:
        """Whether it grants a class on all these keys; on none, a command without a key."""
        wanted = command_class in self.role.classes
        return wanted and (all(key in self.role.keys for key in keys) if keys else b"" in self.role.keys.prefixes)

    def __str__(self) -> str:
        return f"role {self.name}"


def granted_roles(principal: Principal, roles: frozenset[str], settings: Settings) -> list[GrantedRole]:
    """The roles that the principal has, `roles` by name, each with the line of what gives it."""
    found = []
    for name in sorted(roles):
        places = [
            ("grants", index)
            for index, grant in enumerate(settings.grants)
            if grant.principal == principal and name in grant.roles
        ]
        place = places[0] if places else ("default_roles",)
        problem = settings.problem(Finding(place, ""))
        where = f" (line {problem.line})" if problem.line is not None else ""
        role = settings.roles[name]
        found.append(GrantedRole(name, Role(role.commands, KeySet.of(role.keys)), role.keys, f"{problem.key}{where}"))
    return found


class Grounds:
    """Tells the grounds of verdicts on one listener."""

    def __init__(self, limits: WireLimits, circumstances: Circumstances) -> None:
        # No translation: what upstream has no words for is another matter than who may say it.
        self._circumstances = Circumstances(circumstances.digest_overlong_keys, mechanisms=circumstances.mechanisms)
        self._everything = _rules(CLASSES, limits)
        self._all_but = {name: _rules(CLASSES - {name}, limits) for name in sorted(CLASSES)}

    def needs(self, text: bytes) -> tuple[list[str], list[bytes]]:
        """The classes that the first frame of `text` needs, and on which keys; no keys for commands without any."""
        classes = [name for name, rules in self._all_but.items() if self._denied(text, rules)]
        keys: dict[bytes, None] = {}
        for request in next(frames(text, self._everything, self._circumstances)).upstream:
            keys |= dict.fromkeys(_keys(request))
        return classes, list(keys)

    def _denied(self, text: bytes, rules: TextRules) -> bool:
        refusal = next(frames(text, rules, self._circumstances)).refusal
        return refusal is not None and bool(refusal.denied)

    def of_permission(self, text: bytes, roles: Sequence[GrantedRole]) -> Iterator[str]:
        """What gives each class that is needed: the first role that does it alone, or else one for each key."""
        classes, keys = self.needs(text)
        if not classes:
            yield "needs no grant"
        for name in classes:
            whole = next((role for role in roles if role.covers(name, keys)), None)
            if whole is not None:
                yield f"{name}{_on(keys)}: {whole}, by {whole.given}"
                continue
            for key in keys[:_SHOWN]:
                for role in [role for role in roles if role.covers(name, [key])][:1]:
                    yield f"{name}{_on([key])}: {role}, by {role.given}"

    def of_denial(self, text: bytes, denied: str, principal: Principal, roles: Sequence[GrantedRole]) -> Iterator[str]:
        """What is missing, and what there is of it. `denied` is the class that the proxy names."""
        classes, keys = self.needs(text)
        for name in classes or [denied]:
            lacking = [key for key in keys if not any(role.covers(name, [key]) for role in roles)]
            if (keys and not lacking) or (not keys and any(role.covers(name, []) for role in roles)):
                continue
            yield f"{name}{_on(lacking)} is missing: {_instead(name, bool(keys), principal, roles)}"


def _instead(name: str, keyed: bool, principal: Principal, roles: Sequence[GrantedRole]) -> str:
    having = [role for role in roles if name in role.role.classes]
    if not roles:
        return f"{principal} has no role"
    if not having:
        return f"no {name} in the role{'s' if len(roles) > 1 else ''} {_some([role.name for role in roles])}"
    there = "; ".join(f"{role} has it on {_some(role.keys) or 'no key'}" for role in having[:_SHOWN])
    return there if keyed else f'a command without a key needs a role with keys: ["*"]; {there}'


def _rules(classes: frozenset[str], limits: WireLimits) -> TextRules:
    return TextRules(Ruleset([Role(classes, ALL_KEYS)]), limits)


def _keys(request: Request) -> list[bytes]:
    """The keys of a request in text, which is canonical."""
    if isinstance(request, MetaRequest | MetaDebug):
        return [request.key]
    lines = request.upstream.split(b"\r\n")
    words = lines[0].split(b" ")
    if isinstance(request, Retrieval):
        first = 1 if words[0].startswith(b"get") else 2
        return [key for line in lines[:-1] for key in line.split(b" ")[first:]]
    return words[1:2] if words[0] in STORAGE or words[0] in KEYED else []


def _on(keys: Sequence[bytes]) -> str:
    return f" on {_some([key.decode('utf-8', 'backslashreplace') for key in keys])}" if keys else ""


def _some(names: Sequence[str]) -> str:
    shown = [name if len(name) <= _LONGEST_SHOWN else f"{name[:_LONGEST_SHOWN]}..." for name in names[:_SHOWN]]
    return ", ".join(shown) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
