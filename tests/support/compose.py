"""deploy/compose without an engine: its pieces as processes of this machine, in a network namespace of their own.

The configuration files are the ones of deploy/compose, with the places where volumes are mounted put elsewhere.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.image import ROOT
from tests.support.namespaces import inside, ip

COMPOSE = ROOT / "deploy/compose"
ADDRESS = "10.211.0.2"
"""One of the network `cache`."""

# Relative names stay what they are: only places at which the container has a volume.
_PLACES = re.compile(r"(?<![\w.])/(?=(?:tls|monitoring|var/lib/mcproxy|run/memcached|rules|authority)\b)")


def compose_file() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    return found


def moved(text: str, root: Path) -> str:
    """A configuration file, or a word of a command, for containers whose volumes are in `root`."""
    return _PLACES.sub(f"{root}/", text)


def make_volumes(root: Path) -> None:
    for name in ("tls", "monitoring", "authority", "var/lib/mcproxy", "run/memcached"):
        (root / name).mkdir(parents=True)
    (root / "rules").symlink_to(ROOT / "deploy/prometheus")


def make_certificates(root: Path, *names: str) -> str:
    """What `docker compose run --rm setup` does, with its arguments unless others are given; what it prints."""
    script = COMPOSE / "setup/certificates.py"
    arguments = names or tuple(compose_file()["services"]["setup"]["command"])
    code = "import runpy, sys, pathlib; runpy.run_path(sys.argv[1])['main'](sys.argv[3:], pathlib.Path(sys.argv[2]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(script), str(root), *arguments], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def network() -> Iterator[list[str]]:
    """A namespace that has the network's address; the words that run a command in it."""
    if os.geteuid() != 0:
        pytest.skip("only root can make network namespaces")
    name = f"mcproxy-{os.getpid()}-compose"
    ip("netns", "add", name)
    try:
        ip("-netns", name, "link", "set", "lo", "up")
        ip("-netns", name, "address", "add", f"{ADDRESS}/24", "dev", "lo")
        yield inside(name)
    finally:
        ip("netns", "delete", name)


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process, ended at the end."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_TALK = """
import socket, ssl, sys
host, port, authority, source, said = sys.argv[1:6]
context = ssl.create_default_context(cafile=authority)
try:
    raw = socket.create_connection((host, int(port)), 10, (source, 0))
    with context.wrap_socket(raw, server_hostname="localhost") as connection:
        connection.sendall(said.encode().decode("unicode_escape").encode())
        received = b""
        while part := connection.recv(65536):
            received += part
except OSError as error:
    print(repr(type(error).__name__))
else:
    print(repr(received.decode()))
"""


def talk(runner: list[str], authority: Path, said: str, source: str = ADDRESS) -> str:
    """All that mcproxy answers over TLS until it closes the connection, or the name of what was raised."""
    command = [*runner, sys.executable, "-c", _TALK, ADDRESS, "11211", str(authority), source, said]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return str(ast.literal_eval(done.stdout))


_ASK = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
try:
    print(opener.open(sys.argv[1], timeout=5).read().decode())
except OSError:
    print("{}")
"""


def ask_prometheus(runner: list[str], path: str) -> Any:
    """The answer of its API on port 9090, {} while it doesn't answer."""
    command = [*runner, sys.executable, "-c", _ASK, f"http://127.0.0.1:9090/api/v1/{path}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return json.loads(done.stdout or "{}")


def program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed"
    return found
