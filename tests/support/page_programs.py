"""Runs the programs of docs/clients as a reader would: saved to a file, and started with what their language has.

A program that says "Restart mcproxy, then press Enter." is waited for, and gets its Enter when `go_on` is called.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.client_pages import PAGES, Block, Deployment, blocks
from tests.support.configuration import PASSWORDS
from tests.support.waiting import eventually

RESTART = "Restart mcproxy, then press Enter.\n"
PATIENCE = 30.0
"""Seconds that a program may take, with others beside it."""
SPYMEMCACHED = Path("/usr/share/java/spymemcached.jar")
MODULES = Path(os.environ.get("MCPROXY_NODE_MODULES", Path(__file__).parents[2] / ".debian" / "node" / "node_modules"))

COMMANDS = {
    "python": ("program.py", [sys.executable]),
    "sh": ("program.sh", ["bash"]),
    "php": ("program.php", ["php"]),
    "ruby": ("program.rb", ["ruby"]),
    "perl": ("program.pl", ["perl"]),
    "js": ("program.js", ["node"]),
    "go": ("program.go", ["go", "run"]),
    "java": ("Program.java", ["java", "-cp", str(SPYMEMCACHED)]),
}
"""Language to the file's name and the words before it."""


class Example(NamedTuple):
    """A program of a page, and what the page says that it prints."""

    program: Block
    output: str

    @property
    def waits(self) -> bool:
        return RESTART.strip() in self.program.text

    def __str__(self) -> str:
        return str(self.program)


def examples() -> Iterator[Example]:
    """Those of every page. Raises AssertionError for a program without its output."""
    for page in sorted(PAGES.glob("*.md")):
        found = list(blocks(page))
        for block, following in zip(found, [*found[1:], None], strict=True):
            if block.language not in COMMANDS:
                continue
            assert following is not None, f"{block} prints nothing"
            assert following.language == "text", f"{block} is followed by {following}"
            yield Example(block, following.text)


def lacking(example: Example) -> str | None:
    """What this machine hasn't got of what the program needs."""
    language = example.program.language
    command = COMMANDS[language][1][0]
    if shutil.which(command) is None:
        return command
    if language == "java" and not SPYMEMCACHED.exists():
        return str(SPYMEMCACHED)
    if language == "js" and not MODULES.exists():
        return f"npm's packages in {MODULES}"
    return None


class Run:
    """One program, started at once. Its standard output is followed, what it says on standard error only told."""

    def __init__(self, example: Example, deployment: Deployment, directory: Path) -> None:
        self.example = example
        name, command = COMMANDS[example.program.language]
        path = directory / name
        path.write_text(deployment.adapted(example.program.text))
        environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "SASL_PATH")}
        environment |= {"CACHE_PASSWORD": PASSWORDS["sammy"], "NODE_PATH": str(MODULES)}
        # Debian's Go packages are sources outside of modules; its cache is not the user's.
        environment |= {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOCACHE": str(directory / "cache")}
        self._errors = (directory / "errors").open("w+")
        self._process = subprocess.Popen(
            [*command, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=directory,
            env=environment,
            text=True,
        )
        self.told = ""
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def reaches_its_pause(self) -> None:
        """Return when it waits for the restart, has ended, or is late: `finish` deals with that."""
        with contextlib.suppress(AssertionError):
            eventually(f"{self.example} waits or ends", lambda: self._waits() or self._ended(), within=PATIENCE)

    def go_on(self) -> None:
        """Press Enter."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended already, and `finish` tells of that
            os.write(self._process.stdin.fileno(), b"\n")

    def finish(self) -> tuple[str, str]:
        """What it printed, and what it said on standard error, when it has ended or was killed for being late."""
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            self.told += f"(killed after {PATIENCE:.0f} s: it didn't end)\n"
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._errors.seek(0)
        errors = self._errors.read()
        self._errors.close()
        return self.told, errors

    def kill(self) -> None:
        """End it, if it hasn't."""
        self._process.kill()
        self._process.wait()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.told += line

    def _waits(self) -> bool:
        return self.told.endswith(RESTART)

    def _ended(self) -> bool:
        return self._process.poll() is not None
