"""mcproxy and a memcached, started for strangers: every way to log in with a secret, users that are all alike."""

import json
import secrets
import sys
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bench.peers import ROOT
from bench.processes import Processes, Running, free_port
from mcproxy.auth.users import format_line
from mcproxy.auth.verifiers import HASHES, make_verifier

BALANCER = "127.0.0.2"


@dataclass(frozen=True)
class Program:
    """Both are running. `address` takes logins, `admin` answers scrapes."""

    running: Running
    address: tuple[str, int]
    admin: str

    def logins(self) -> dict[str, float]:
        """How many there were, by result: `failure` was checked and wrong, `throttled` never checked."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == "mcproxy_logins_total":
                    result = sample.labels["result"]
                    found[result] = found.get(result, 0.0) + sample.value
        return found


def write(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def users_file(names: Iterable[str], password: str, iterations: int, mechanisms: Iterable[str] = HASHES) -> str:
    """A line for each name and mechanism. All have the same password, and so the same work to do, but salts of their
    own."""
    lines = []
    for name in names:
        for mechanism in mechanisms:
            lines.append(format_line(name, make_verifier(password, iterations, secrets.token_bytes(16), mechanism)))
    return "\n".join(lines) + "\n"


def start(processes: Processes, users: str, *, throttled: bool, workers: int = 1, **limits: object) -> Program:
    """Raises BenchError."""
    directory = processes.directory
    upstream, address, admin = (f"127.0.0.1:{free_port()}" for _ in range(3))
    user = ["-u", "nobody"]
    memcached = processes.start("memcached", ["memcached", "-l", "127.0.0.1", "-p", upstream.partition(":")[2], *user])
    memcached.wait_until_listening(upstream)
    settings = {
        "listeners": {
            "bench": {
                "bind": [address],
                "allow": ["127.0.0.0/8", "10.0.0.0/8"],
                "proxy_protocol": [BALANCER],
                "authentication": ["sasl", "token"],
                "mechanisms": ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN"],
            }
        },
        "upstream": {"address": upstream},
        "users_file": str(write(directory / "users", users)),
        "roles": {"bench": {"commands": ["read"], "keys": ["bench:*"]}},
        "default_roles": ["bench"],
        "limits": {"drain_timeout": "0s", **limits},
        "workers": workers,
        "admin": {"bind": admin},
    }
    configuration = write(directory / "mcproxy.yaml", json.dumps(settings))  # JSON is YAML
    module = "mcproxy" if throttled else "bench.strangers.unthrottled"
    command = [sys.executable, "-m", module, "run", "--config", str(configuration)]
    running = processes.start("mcproxy", command, ROOT)
    running.wait_until_listening(address)
    host, _, port = address.partition(":")
    return Program(running, (host, int(port)), admin)
