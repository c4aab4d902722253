"""Who is seen off: what others left behind, and none of the program's own children."""

import os
import subprocess
import sys

from tests.support.waiting import eventually


def ended() -> int:
    """A child that has ended, and that nobody has waited for."""
    child = os.fork()
    if not child:
        os._exit(3)
    eventually("it is a zombie", lambda: os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT))
    return child


SCRIPT = """
from mcproxy.server.orphans import reap
from tests.unit.server.test_orphans import *
own, orphan = ended(), ended()
reap({own})
assert os.waitpid(own, 0) == (own, 3 << 8), "it was seen off, though it is waited for"
reap(())
try:
    os.waitpid(orphan, 0)
except ChildProcessError:
    print("gone")
reap(())
"""


def test_orphans_are_seen_off_and_own_children_are_not():
    """In a process of its own: this one's children are the test runner's."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("gone\n", 0), done.stderr
