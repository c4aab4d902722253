"""SIGHUP while `mcproxy run` is still being imported: it would end the program, and is remembered instead.

Old syntax and next to no imports, for it comes before all else. server/serve.py takes over (LateSignals).
"""

from __future__ import annotations

import signal
import sys

_came: list[int] = []


def expect_signals() -> None:
    """From now on a SIGHUP is remembered, if this process is to be `mcproxy run`."""
    if sys.argv[1:2] == ["run"]:
        signal.signal(signal.SIGHUP, lambda number, _: _came.append(number))


def has_come() -> bool:
    """Whether there was one."""
    return bool(_came)
