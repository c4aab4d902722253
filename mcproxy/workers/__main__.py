"""`python -m mcproxy.workers NUMBER CONTROL HANDOVER`: one worker, which only the parent starts.

The last two are the descriptors that it inherits. Started by anybody else, they are not what they have to be.
"""

import os
import stat
import sys


def main(arguments: list[str]) -> int:
    """The exit status."""
    try:
        number, control, handover = (int(word) for word in arguments)
        inherited = stat.S_ISSOCK(os.fstat(control).st_mode) and stat.S_ISREG(os.fstat(handover).st_mode)
    except (OSError, ValueError, OverflowError):
        inherited = False
    if not inherited:
        print('mcproxy: this is a part of "mcproxy run", which starts it', file=sys.stderr)
        return 2
    from mcproxy.workers.worker import run_worker

    return run_worker(number, control, handover)


sys.exit(main(sys.argv[1:]))
