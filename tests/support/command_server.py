"""Runs `mcproxy` command lines in a process that has imported it already: `python -m tests.support.command_server`.

Each is run in a fork of its own. What differs from the real command is half a second of imports, which a test with
twenty runs would rather not wait for. A request and an answer are a line of JSON each.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple


class Done(NamedTuple):
    status: int
    output: str
    errors: str


class CommandServer:
    """The process; `words` in front of its command line run it in a namespace, say. Close it after use."""

    def __init__(self, words: Sequence[str] = ()) -> None:
        command = [*words, sys.executable, "-m", "tests.support.command_server"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def run(self, arguments: Sequence[str], given: str = "") -> Done:
        """One command line, with `given` on standard input."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"arguments": list(arguments), "given": given}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that runs commands has ended"
        return Done(**json.loads(answer))

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def _serve() -> None:
    import mcproxy.doctor.run  # noqa: F401 - what is worth importing once
    from mcproxy.cli.main import main

    for line in sys.stdin:
        request: dict[str, Any] = json.loads(line)
        with ExitStack() as stack:
            given, output, errors = (stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(3))
            given.write(request["given"])
            given.seek(0)
            if (child := os.fork()) == 0:
                for number, file in enumerate((given, output, errors)):
                    os.dup2(file.fileno(), number)
                sys.stdin = os.fdopen(0)
                status = main(request["arguments"])
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            output.seek(0)
            errors.seek(0)
            print(json.dumps({"status": status, "output": output.read(), "errors": errors.read()}), flush=True)


if __name__ == "__main__":
    _serve()
