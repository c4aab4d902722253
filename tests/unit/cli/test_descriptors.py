"""Standard descriptors that are closed before the start: nothing of the program's own may get their numbers."""

import json
import subprocess
import sys

import pytest

LOOK = """
import os, sys
{before}
import mcproxy.cli.main
shown = [(os.readlink(f"/proc/self/fd/{{number}}"), os.get_inheritable(number)) for number in range(3)]
import json
open(sys.argv[1], "w").write(json.dumps(shown))
"""


def started(closing, result, before=""):
    """What the three are once the program's first module is there."""
    command = ["sh", "-c", f'exec "$@" {closing}', "sh", sys.executable, "-c", LOOK.format(before=before), str(result)]
    return subprocess.run(command, stdin=subprocess.PIPE, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("closed", [(2,), (1, 2), (0, 1, 2), (1,)])
def test_they_lead_nowhere(tmp_path, closed):
    assert started(" ".join(f"{number}>&-" for number in closed), tmp_path / "shown").returncode == 0
    shown = json.loads((tmp_path / "shown").read_text())
    assert [number for number in range(3) if shown[number][0] == "/dev/null"] == list(closed)
    assert all(inheritable for _, inheritable in shown), "a worker's would be closed"


def test_without_a_null_device_nothing_starts(tmp_path):
    refused = started("<&-", tmp_path / "shown", before="os.devnull = '/nowhere/null'")
    told = "mcproxy: can't open /nowhere/null as descriptor 0: No such file or directory\n"
    assert (refused.returncode, refused.stderr) == (1, told)
