"""Signals while `mcproxy run` is still being imported.

SIGHUP and SIGUSR1 would end the program: the one is remembered, the other passed over. SIGTERM would do nothing to
process 1 of a container, whom the kernel spares what he has no handler for, and SIGINT would print a traceback: both
end the program in order.
Old syntax and next to no imports, for it comes before all else. server/signals.py takes over (LateSignals).
"""

from __future__ import annotations

import os
import signal
import sys

_came: list[int] = []


def expect_signals() -> None:
    """From now on a SIGHUP is remembered, and SIGTERM and SIGINT are an orderly end, for `mcproxy run`.

    All that it handles are unblocked: a parent that has blocked them passes that on, and they would never come.
    """
    if sys.argv[1:2] == ["run"]:
        signal.signal(signal.SIGHUP, lambda number, _: _came.append(number))
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            # Nothing is open yet that would have to be closed, and an exception may be lost in an import.
            signal.signal(number, lambda *_: os._exit(0))
        handled = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1}
        signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)


def has_come() -> bool:
    """Whether there was one."""
    return bool(_came)
