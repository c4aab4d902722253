"""Waiting for something that another process or thread does: polled against a deadline, never slept for."""

import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

PATIENCE = 10.0
"""Seconds that a test waits for what must happen; only a failing test ever waits that long."""


def eventually(what: str, probe: Callable[[], Result], within: float = PATIENCE, every: float = 0.005) -> Result:
    """Call `probe` until it returns something true, and return that.

    Raises AssertionError, naming `what`, when it is still false after `within` seconds.
    """
    deadline = time.monotonic() + within
    while not (result := probe()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within:g} s: {what}; last seen: {result!r}")
        time.sleep(every)
    return result
