"""As process 1 of a container: processes whose parents have ended become our children, and we have to see them off.

They are those that `docker exec` or a health check left behind; the program's own children are waited for where they
were started.
"""

import os
from collections.abc import Callable, Collection
from typing import Final

import trio

INTERVAL: Final = 1.0
"""Seconds. A zombie takes an entry of the process table and nothing else."""


def reap_is_ours() -> bool:
    """Whether there is nobody else to do it."""
    return os.getpid() == 1


async def reap_orphans(own: Callable[[], Collection[int]] = tuple) -> None:
    """See off whoever has ended and isn't one of our `own` children, until cancelled."""
    while True:
        await trio.sleep(INTERVAL)
        reap(own())


def reap(own: Collection[int]) -> None:
    """See off who has ended by now. An own child that has ended and isn't waited for yet puts others off till then."""
    try:
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in own:
                return
            os.waitid(os.P_PID, ended.si_pid, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return
