"""Signals while `mcproxy run` is still being imported.

SIGHUP and SIGUSR1 would end the program: the one is remembered, the other passed over. SIGTERM would do nothing to
process 1 of a container, whom the kernel spares what he has no handler for: it ends the program in order.
Old syntax and next to no imports, for it comes before all else. server/signals.py takes over (LateSignals).
"""

from __future__ import annotations

import signal
import sys

_came: list[int] = []


def expect_signals() -> None:
    """From now on a SIGHUP is remembered and SIGTERM is an orderly end, if this process is to be `mcproxy run`."""
    if sys.argv[1:2] == ["run"]:
        signal.signal(signal.SIGHUP, lambda number, _: _came.append(number))
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def has_come() -> bool:
    """Whether there was one."""
    return bool(_came)
