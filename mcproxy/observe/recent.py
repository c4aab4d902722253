"""The last refusals and failures, for the status page: what the log says of them, whatever its level and its limit.

They come from the log's own events, so a page never says more than the log does, nor anything else. Equal ones are kept
once and counted: a client that is refused each second doesn't push out what else there was.
"""

import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

MOST: Final = 100
LONGEST: Final = 200
"""Characters of one text."""

EVENTS: Final = frozenset(
    {
        "accept_failed",
        "admin_connection_refused",
        "admin_request_refused",
        "connection_refused",
        "login_failed",
        "login_refused",
        "own_links_in_use",
        "reload_failed",
        "request_refused",
        "saslauthd_unavailable",
        "session_closed",
        "session_ended_by_reload",
        "upstream_has_grants",
        "upstream_link_lost",
        "upstream_not_renewed",
        "upstream_unavailable",
        "worker_ended",
    }
)
"""Of these the last ones are kept."""

_ABOUT: Final = ("class", "by", "names", "uid", "gid", "via", "upstream", "protocol", "worker")
"""Fields that go into the reason's text, where the event has them."""

Refusal = dict[str, Any]
"""Of JSON: time (Unix, seconds, the last one's), event, listener, source, principal, reason, count. Any but the first
two and the count may be None."""
_Key = tuple[str, str | None, str | None, str | None, str | None]


class Recent:
    """Keeps the last MOST kinds. `clock` is Unix time in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: OrderedDict[_Key, Refusal] = OrderedDict()

    def note(self, event: Mapping[str, Any]) -> None:
        """An event of the log, before it is rendered; what is not of EVENTS is left out."""
        name = event.get("event")
        if name not in EVENTS or event.get("number", 1) != 1:  # of a failed reload the first line is enough
            return
        refusal = {
            "time": self._clock(),
            "event": str(name),
            "listener": shown(event.get("listener")),
            "source": shown(event.get("source")),
            "principal": shown(event.get("principal")),
            "reason": _reason(event),
            "count": 1,
        }
        _add(self._kept, refusal)

    def newest(self) -> list[Refusal]:
        """A copy, the newest first."""
        return [dict(refusal) for refusal in reversed(self._kept.values())]


def together(of_each: Iterable[Iterable[Refusal]]) -> list[Refusal]:
    """The refusals of several processes as those of one, the newest first."""
    kept: OrderedDict[_Key, Refusal] = OrderedDict()
    for refusal in sorted(itertools.chain.from_iterable(of_each), key=lambda one: float(one["time"])):
        _add(kept, dict(refusal))
    return list(reversed(kept.values()))


def shown(value: object, most: int = LONGEST) -> str | None:
    """A text of at most so many characters; what a terminal or browser wouldn't just show (control codes, text
    direction, half characters) escaped."""
    if value is None:
        return None
    text = str(value)[: most + 1]
    if not text.isprintable():
        text = "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)
    return f"{text[: most - 3]}..." if len(text) > most else text


def _reason(event: Mapping[str, Any]) -> str | None:
    reason = event.get("reason", event.get("problem"))
    about = ", ".join(f"{key} {event[key]}" for key in _ABOUT if event.get(key) is not None)
    if reason is None:
        return shown(about) if about else None
    return shown(f"{shown(reason)} ({shown(about)})" if about else reason)


def _add(kept: OrderedDict[_Key, Refusal], refusal: Refusal) -> None:
    key = (refusal["event"], refusal["listener"], refusal["source"], refusal["principal"], refusal["reason"])
    if (before := kept.pop(key, None)) is not None:
        refusal["count"] += before["count"]
    kept[key] = refusal
    if len(kept) > MOST:
        kept.popitem(last=False)
