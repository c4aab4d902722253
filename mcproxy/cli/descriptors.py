"""Standard descriptors that were closed before the start (`mcproxy run 2>&-`) become /dev/null.

Otherwise the next socket or file that is opened gets such a number, and whatever is meant for standard error is written
into it: log lines into a listening socket, a complaint into the users file. Workers inherit what is opened here.
Old syntax and next to no imports, for it comes before all else.
"""

from __future__ import annotations

import os
import sys


def open_missing() -> None:
    """Open /dev/null as each of 0, 1 and 2 that is closed. Ends the program if there is none."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            try:
                # The lowest number that is free is this one: those below are open.
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            except OSError as error:
                sys.exit(f"mcproxy: can't open {os.devnull} as descriptor {descriptor}: {error.strerror}")
