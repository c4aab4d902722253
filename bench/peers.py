"""The proxies measured, a record each: how each is configured for the same job, as its own manual advises.

All of them: one thread or worker, the same memcached behind them by the same kind of socket, the same certificate and
TLS 1.3, and no logging of single connections except mcproxy's (bench/subject.py), whose logs, metrics, login and grants
are on."""

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
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
    protocols: tuple[str, ...] = ("text", "meta", "binary")
    is_memcached: bool = False  # no proxy: the requests end here
    is_required: bool = False
    logs_in: bool = False  # the load begins with a login, from the file "login" in its directory
    is_checked: bool = False  # strangers must be refused, and keys that were not granted
    home: Path | None = None  # where it runs; its own directory if nothing is said

    def is_installed(self) -> bool:
        return shutil.which(self.program) is not None

    def version_text(self) -> str:
        program = "memcached" if self.is_memcached else self.program
        command, home = [program, *self.version], self.home or ROOT
        words = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, cwd=home)
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


def memcached_sasl(place: Place) -> list[str]:
    """memcached's own TLS and its own login: SASL PLAIN against a sasldb, which the binary protocol alone can do."""
    user, password, database = "bench", secrets.token_urlsafe(18), place.directory / "sasldb"
    place.write("login", f"{user} {password}\n")
    add = ["saslpasswd2", "-p", "-c", "-a", "memcached", "-f", str(database), user]
    added = subprocess.run(add, input=password, capture_output=True, text=True)
    if added.returncode != 0:
        raise BenchError(f"saslpasswd2 failed: {(added.stderr or added.stdout).strip()[-200:]}")
    settings = {"mech_list": "plain", "pwcheck_method": "auxprop", "auxprop_plugin": "sasldb", "sasldb_path": database}
    place.write("memcached.conf", "".join(f"{name}: {value}\n" for name, value in settings.items()))
    return ["env", f"SASL_CONF_PATH={place.directory}", *memcached(place), "-S"]


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


# "direct" comes first: what memcached does with nothing in between is the yardstick for the load generator.
PEERS = (
    Peer("direct", "memcached", "memcached", memcached, version=("-V",), is_memcached=True, is_required=True),
    Peer(
        "memcached-sasl",
        "saslpasswd2",
        "sasl2-bin libsasl2-modules libsasl2-modules-db",
        memcached_sasl,
        ("tls",),
        ("-V",),
        ("binary",),
        is_memcached=True,
        logs_in=True,
    ),
    Peer("haproxy", "haproxy", "haproxy", haproxy, version=("-v",), is_required=True),
    Peer("nutcracker", "nutcracker", "nutcracker", nutcracker, ("plain",), ("-V",), ("text",)),
    Peer("hitch", "hitch", "hitch", hitch, ("tls",), ("-V",)),
    Peer("stunnel", "stunnel4", "stunnel4", stunnel, ("tls",), ("-version",)),
)
