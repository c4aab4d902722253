"""The verdicts on some command lines, for people and as an exit status."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcproxy.auth.principals import Principal
from mcproxy.cli.acl.grounds import Grounds, granted_roles
from mcproxy.cli.acl.judging import Circumstances, Frame, frames
from mcproxy.cli.acl.principals import can_log_in, parse_principal, unknown
from mcproxy.cli.errors import DONE, FAILED, WRONG_USAGE, CommandError
from mcproxy.config.load import Reading
from mcproxy.config.material import Material
from mcproxy.config.problems import printable, suggestion
from mcproxy.config.schema import Settings
from mcproxy.config.source import read_text
from mcproxy.server.access import Access
from mcproxy.server.state import translation

_ALLOWED = "allowed"
_LONGEST_SHOWN = 100
"""Characters of a command line."""


@dataclass(frozen=True)
class _Verdict:
    """On one frame: allowed, denied by the grants, or refused for another reason."""

    word: str
    line: str
    grounds: tuple[str, ...]

    def lines(self, listener: str | None) -> Iterator[str]:
        """What is printed, with the listener's name where others say something else."""
        shown = self.line[:_LONGEST_SHOWN] + ("..." if len(self.line) > _LONGEST_SHOWN else "")
        yield f"{self.word}: {shown}" if listener is None else f"{self.word} on {listener}: {shown}"
        yield from (f"  {ground}" for ground in self.grounds)


def answer(path: Path, who: str, listener: str | None, lines: Sequence[str]) -> int:
    """Print a verdict for each frame of `lines`, with its grounds; where listeners differ, for each of them.

    Returns the exit status. Raises CommandError for a principal or listener that isn't there, ConfigurationError.
    """
    try:
        principal = parse_principal(who)
    except ValueError as error:
        raise CommandError(f"acl: --as {who!r} {error}", WRONG_USAGE) from None
    material = Reading(read_text(path), path).material()
    objection = unknown(principal, material.settings, material.users)
    if objection is not None:
        raise CommandError(f"acl: {objection}", WRONG_USAGE)
    names = _listeners(principal, listener, material.settings)
    if not names:
        where = f"listener {listener}" if listener is not None else "any listener"
        print(printable(f"refused: {principal} can't log in on {where}; mcproxy check tells who can"))
        return FAILED
    asked = {name: _Asked(name, principal, material) for name in names}
    allowed = True
    for line in lines:
        answers = {name: one.verdicts(os.fsencode(line)) for name, one in asked.items()}
        alike = len(set(answers.values())) == 1
        for name in names[: 1 if alike else None]:
            for verdict in answers[name]:
                print("\n".join(map(printable, verdict.lines(None if alike else name))))
        allowed = allowed and all(verdict.word == _ALLOWED for verdicts in answers.values() for verdict in verdicts)
    for name in names:
        if "text" not in material.settings.listeners[name].protocols:
            print(f"note: listener {name} takes only the binary protocol; the same grants hold there")
    return DONE if allowed else FAILED


def _listeners(principal: Principal, wanted: str | None, settings: Settings) -> list[str]:
    """Those to ask about. Raises CommandError if `wanted` is none."""
    if wanted is not None and wanted not in settings.listeners:
        known = suggestion(wanted, settings.listeners)
        raise CommandError(f"acl: no listener is called {wanted!r}; {known}", WRONG_USAGE)
    names = settings.listeners if wanted is None else [wanted]
    return [name for name in names if can_log_in(principal, settings.listeners[name])]


class _Asked:
    """One listener, with the principal logged in there."""

    def __init__(self, name: str, principal: Principal, material: Material) -> None:
        settings = material.settings
        access = Access(settings, material.users)
        self._principal = principal
        self._rules = access.text_rules(principal)
        self._roles = granted_roles(principal, access.roles_of(principal), settings)
        self._circumstances = _circumstances(name, settings)
        self._grounds = Grounds(self._rules.limits, self._circumstances)

    def verdicts(self, data: bytes) -> tuple[_Verdict, ...]:
        """One for each frame of `data`."""
        return tuple(
            _Verdict(word, _shown(frame.line), tuple(grounds))
            for frame in frames(data, self._rules, self._circumstances)
            for word, grounds in [self._verdict(frame)]
        )

    def _verdict(self, frame: Frame) -> tuple[str, Iterable[str]]:
        refusal = frame.refusal
        if refusal is not None and refusal.denied:
            return "denied", self._grounds.of_denial(frame.line, refusal.denied, self._principal, self._roles)
        if refusal is not None:
            told = _shown(refusal.reply.strip()) or "nothing"
            closed = "; the connection is closed" if frame.closes else ""
            return "refused", [f"{refusal.reason}; the client is told: {told}{closed}"]
        if frame.missing:
            return "refused", [f"not whole: {frame.missing} bytes of its data block are missing"]
        if frame.logs_in:
            return _ALLOWED, ["another login begins, which is not judged here"]
        if not frame.upstream:
            return _ALLOWED, ["answered by the proxy itself"]
        return _ALLOWED, [*self._grounds.of_permission(frame.line, self._roles), *_respelled(frame)]


def _respelled(frame: Frame) -> Iterator[str]:
    """How it goes upstream, if that is not as it came."""
    sent = frame.upstream[0].upstream.partition(b"\r\n")[0]
    if len(frame.upstream) == 1 and b"\n" not in frame.line and sent != frame.line:
        yield f"sent as: {_shown(sent)[:_LONGEST_SHOWN]}"


def _circumstances(name: str, settings: Settings) -> Circumstances:
    listener = settings.listeners[name]
    return Circumstances(
        digest_overlong_keys=listener.overlong_keys == "digest",
        refuse_pipelining=listener.pipelining == "refuse",
        mechanisms=" ".join(listener.mechanisms).encode() if "sasl" in listener.authentication else None,
        translate=translation(settings.all_upstreams[settings.upstream_of(name)], "text"),
    )


def _shown(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
