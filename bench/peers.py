"""The proxies measured, a record each: how each is configured for the same job, as its own manual advises.

All of them: one thread or worker, the same memcached behind them by the same kind of socket, the same certificate and
TLS 1.3, and no logging of single connections except mcproxy's, whose logs, metrics, login and grants are on."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.processes import BenchError, free_port

ROOT = Path(__file__).resolve().parent.parent
KEY_PREFIX = "bench:"


@dataclass(frozen=True)
class Place:
    """What a peer is configured with. Addresses are HOST:PORT; the upstream may be unix:PATH."""

    directory: Path
    address: str
    upstream: str
    tls: bool
    certificate: Path
    key: Path
    python: str

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def write(self, name: str, text: str) -> str:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(text)
        return str(path)

    def certificate_and_key(self) -> str:
        return self.write("certificate-and-key.pem", self.certificate.read_text() + self.key.read_text())


@dataclass(frozen=True)
class Peer:
    """One program. `command` writes the configuration and returns the command line that runs it in the foreground."""

    name: str
    program: str
    package: str
    command: Callable[[Place], list[str]]
    transports: tuple[str, ...] = ("plain", "tls")
    version: tuple[str, ...] = ()
    is_memcached: bool = False  # no proxy: the requests end here
    is_required: bool = False
    logs_in: bool = False  # the load begins with a token login, and strangers must be refused

    def is_installed(self) -> bool:
        return shutil.which(self.program) is not None

    def version_text(self) -> str:
        command = [self.program, *self.version]
        words = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=ROOT)
        found = re.search(r"\d+\.\d+[\w.+-]*", words.stdout + words.stderr)
        return found.group() if found else "?"


def memcached(place: Place) -> list[str]:
    command = ["memcached", "-t", "1", "-m", "1024", "-c", "10000", "-U", "0"]
    command += ["-u", "root"] if os.geteuid() == 0 else []
    if place.address.startswith("unix:"):
        return [*command, "-s", place.address.removeprefix("unix:"), "-a", "777"]  # hitch is another user
    command += ["-l", f"127.0.0.1:{place.port}"]
    if place.tls:
        command += ["-Z", "-o", f"ssl_chain_cert={place.certificate},ssl_key={place.key}"]
    return command


def haproxy(place: Place) -> list[str]:
    bind = f"ssl crt {place.certificate_and_key()}" if place.tls else ""
    server = place.upstream.replace("unix:", "unix@")
    configuration = f"""
global
    nbthread 1
    maxconn 4096
    ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen bench
    bind {place.address} backlog 4096 {bind}
    server memcached {server}
"""
    return ["haproxy", "-db", "-f", place.write("haproxy.cfg", configuration)]


def nutcracker(place: Place) -> list[str]:
    server = f"{place.upstream.removeprefix('unix:')}:1" + (" memcached" if "unix:" in place.upstream else "")
    configuration = f"""
bench:
  listen: {place.address}
  hash: fnv1a_64
  distribution: ketama
  preconnect: true
  backlog: 4096
  servers:
   - {server}
"""
    file = place.write("nutcracker.yml", configuration)
    return ["nutcracker", "-c", file, "-a", "127.0.0.1", "-s", str(free_port())]


def hitch(place: Place) -> list[str]:
    host, _, port = place.upstream.rpartition(":")
    backend = place.upstream.removeprefix("unix:") if "unix:" in place.upstream else f"[{host}]:{port}"
    configuration = f"""
frontend = "[127.0.0.1]:{place.port}"
backend = "{backend}"
pem-file = "{place.certificate_and_key()}"
tls-protos = TLSv1.2 TLSv1.3
workers = 1
backlog = 4096
{'user = "nobody"' if os.geteuid() == 0 else ""}
"""  # hitch runs no worker as root
    return ["hitch", "--config", place.write("hitch.conf", configuration)]


def stunnel(place: Place) -> list[str]:
    configuration = f"""
foreground = yes
pid =
debug = warning
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[bench]
accept = {place.address}
connect = {place.upstream.removeprefix("unix:")}
cert = {place.certificate}
key = {place.key}
sslVersionMin = TLSv1.2
TIMEOUTidle = 3600
"""
    return ["stunnel4", place.write("stunnel.conf", configuration)]


def mcproxy(place: Place) -> list[str]:
    """All that it is for: a token login against a SCRAM verifier, a grant by key prefix, metrics, logs."""
    password = secrets.token_urlsafe(18)
    place.write("login", f"bench {password}\n")
    users = place.directory / "users"
    run = [place.python, "-m", "mcproxy"]
    added = subprocess.run(
        [*run, "user", "add", "bench", "--users-file", str(users), "--password-stdin"],
        input=password + "\n",
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if added.returncode != 0:
        raise BenchError(f"mcproxy user add failed: {(added.stderr or added.stdout).strip().splitlines()[-1:]}")
    tls = {"tls": {"certificate": str(place.certificate), "key": str(place.key)}} if place.tls else {}
    settings = {
        "listeners": {
            "bench": {
                "bind": [place.address],
                "allow": ["127.0.0.1"],
                "protocols": ["text", "binary"],
                "authentication": ["token"],
                **tls,
            }
        },
        "upstream": {"address": place.upstream},
        "users_file": str(users),
        "roles": {"bench": {"commands": ["read", "write"], "keys": [KEY_PREFIX + "*"]}},
        "grants": [{"user": "bench", "roles": ["bench"]}],
        "workers": 1,
        "admin": {"bind": f"127.0.0.1:{free_port()}"},
        "logging": {"level": "info", "format": "json"},
    }
    return [*run, "run", "--config", place.write("mcproxy.yaml", json.dumps(settings, indent=1))]  # JSON is YAML


def other_mcproxy(checkout: Path) -> Peer:
    """Another state of mcproxy, as "before": what a change did to the speed shows side by side in one run."""
    if not (checkout / "mcproxy" / "__init__.py").is_file():
        raise BenchError(f"--before {checkout}: there is no mcproxy/ in it; name a directory with another checkout")

    def command(place: Place) -> list[str]:
        # Python looks for modules in its working directory first.
        return ["env", f"--chdir={checkout.resolve()}", *mcproxy(place)]

    return Peer("before", mcproxy_python(), "", command, version=("-m", "mcproxy", "--version"), logs_in=True)


def mcproxy_python() -> str:
    """The Python that has mcproxy's dependencies: this one, or that of the checkout's virtual environment."""
    own = ROOT / ".venv/bin/python"
    return (
        sys.executable
        if all(find_spec(name) for name in ("trio", "scramp", "structlog")) or not own.exists()
        else str(own)
    )


# "direct" comes first: what memcached does with nothing in between is the yardstick for the load generator.
PEERS = (
    Peer("direct", "memcached", "memcached", memcached, version=("-V",), is_memcached=True, is_required=True),
    Peer("haproxy", "haproxy", "haproxy", haproxy, version=("-v",), is_required=True),
    Peer("nutcracker", "nutcracker", "nutcracker", nutcracker, ("plain",), ("-V",)),
    Peer("hitch", "hitch", "hitch", hitch, ("tls",), ("-V",)),
    Peer("stunnel", "stunnel4", "stunnel4", stunnel, ("tls",), ("-version",)),
    Peer(
        "mcproxy", mcproxy_python(), "", mcproxy, version=("-m", "mcproxy", "--version"), logs_in=True, is_required=True
    ),
)
