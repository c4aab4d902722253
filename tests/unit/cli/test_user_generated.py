"""A generated password that can't be shown."""

import subprocess
import sys
from pathlib import Path

from .running import FEW


def test_a_password_that_can_not_be_shown_is_said_to_be_lost(users: Path) -> None:
    command = [sys.executable, "-m", "mcproxy", "user", "add", "sammy", "--users-file", str(users), "--generate"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([*command, "--iterations", FEW], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    why = "but the password can't be shown (No space left on device); give another one"
    assert done.stderr == f"mcproxy: added sammy to {users}, {why}\n"
    assert users.with_name("users.key").exists()
