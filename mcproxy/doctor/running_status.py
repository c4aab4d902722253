"""What the running proxy says of itself: /status.json, asked as `mcproxy top` asks it, and held to its form."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import trio

from mcproxy.cli.admin_client import AdminUnreachable, fetch
from mcproxy.config.schema import Settings

PATIENCE = 3.0
"""Seconds for the request."""
_PATIENCE_WITH_FILES = 2 * PATIENCE
"""Seconds. The files that the request needs may be on a disk that hangs."""
_LONGEST = 4 * 2**20

Status = dict[str, Any]
"""docs/status.md has its form."""


def ask_status(settings: Settings, certificate: Path | None, key: Path | None) -> tuple[Status | None, str]:
    """/status.json, or why it can't be had; `certificate` and `key` are shown to a port that asks. Blocks."""
    try:
        code, body = fetch(settings.admin, "/status.json", timeout=PATIENCE, certificate=certificate, key=key)
    except AdminUnreachable as error:
        return None, str(error)
    if code != 200 or len(body) > _LONGEST:
        return None, f"the admin port answers /status.json with status {code}"
    try:
        status = json.loads(body)
    except (ValueError, RecursionError):  # a number of too many digits is a ValueError, too
        status = None
    if not _has_its_form(status):
        return None, "what the admin port serves as /status.json can't be read"
    return status, ""


async def running_status(settings: Settings, certificate: Path | None, key: Path | None) -> tuple[Status | None, str]:
    """As ask_status, in a thread and not for ever."""
    with trio.move_on_after(_PATIENCE_WITH_FILES):
        work = partial(ask_status, settings, certificate, key)
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True)
    return None, f"the admin port's files can't be read within {_PATIENCE_WITH_FILES:g} s"


def _has_its_form(status: object) -> bool:
    """As far as it is read here: whatever listens there may have said it."""
    if not isinstance(status, dict):
        return False
    lists = [status.get(name, []) for name in ("listeners", "upstreams", "refusals")]
    if not all(isinstance(rows, list) and all(isinstance(row, dict) for row in rows) for rows in lists):
        return False
    return all(isinstance(one.get("addresses", []), list) for one in lists[0])


def failed_logins(status: Status, source: str, since: float) -> list[str]:
    """Why logins from `source` failed, as far as it is known: the last one of each kind, if it was after `since`, in
    Unix time."""
    return [
        str(row.get("reason"))
        for row in status.get("refusals", [])
        if row.get("event") == "login_failed" and row.get("source") == source and _is_after(row.get("time"), since)
    ]


def _is_after(moment: object, since: float) -> bool:
    return isinstance(moment, int | float) and moment >= since
