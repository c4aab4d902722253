"""The configuration and users file of the demonstration: what one would write by hand, with random parts filled in."""

from dataclasses import dataclass
from pathlib import Path

from mcproxy.auth.users import format_line
from mcproxy.auth.verifiers import make_verifier
from mcproxy.demo.certificates import CERTIFICATE, KEY

USER = "demo"

_CONFIGURATION = """\
# Made by `mcproxy demo`, and removed when it ends.
listeners:
  tls:
    bind: ["127.0.0.1:{tls_port}"]
    allow: ["127.0.0.1"]
    tls: {{certificate: {certificate}, key: {key}}}
    authentication: [sasl, token]
  plain:  # allowed without more ado because it is loopback
    bind: ["127.0.0.1:{plain_port}"]
    allow: ["127.0.0.1"]
    authentication: [sasl, token]
upstream:
  address: "unix:{socket}"
users_file: users
roles:
  demo: {{commands: [read, write, counter, touch, delete, stats], keys: ["*"]}}
grants:
  - {{user: {user}, roles: [demo]}}
admin: {{bind: "127.0.0.1:{admin_port}"}}
logging: {{level: info, format: console}}
"""


@dataclass(frozen=True, slots=True)
class Ports:
    """0: the kernel chooses."""

    tls: int
    plain: int
    admin: int


def write_configuration(directory: Path, socket: Path, ports: Ports) -> Path:
    """Writes mcproxy.yaml, which names the other files relative to its directory; returns its path."""
    path = directory / "mcproxy.yaml"
    path.write_text(
        _CONFIGURATION.format(
            tls_port=ports.tls,
            plain_port=ports.plain,
            admin_port=ports.admin,
            certificate=CERTIFICATE,
            key=KEY,
            # For between double quotes in YAML.
            socket=str(socket).replace("\\", "\\\\").replace('"', '\\"'),
            user=USER,
        ),
        encoding="utf-8",
    )
    return path


def write_users(directory: Path, password: str) -> None:
    """Writes the users file, readable by its owner alone; the password itself is not in it."""
    path = directory / "users"
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(format_line(USER, make_verifier(password)) + "\n", encoding="utf-8")
