"""The configuration that most tests use, and how they change it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mcproxy.auth.users import format_line
from mcproxy.auth.verifiers import make_verifier
from tests.support.certificates import Certificates

ITERATIONS = 4096
"""The least that a verifier may have: most logins of the tests are about something else than hashing."""

PASSWORDS = {
    "sammy": "correct horse",
    "root": "all-of-it",
    "reader": "only-looking",
    "watcher": "counts-only",
    "nobody": "may-log-in-only",
}
"""User name to password. One has a space in it: what follows the first space of a token is the password."""

ROLES: dict[str, Any] = {
    "app": {"commands": ["read", "write", "counter", "touch", "delete"], "keys": ["app:*"]},
    "everything": {"commands": ["*"], "keys": ["*"]},
    "reader": {"commands": ["read"], "keys": ["app:*"]},
    "statistics": {"commands": ["stats"], "keys": ["*"]},
}

GRANTS: list[dict[str, Any]] = [
    {"user": "sammy", "roles": ["app"]},
    {"user": "root", "roles": ["everything"]},
    {"user": "reader", "roles": ["reader"]},
    {"user": "watcher", "roles": ["statistics"]},
]

LOOPBACK = ["127.0.0.0/8", "::1/128"]

BEHIND = {"allow": [*LOOPBACK, "10.0.0.0/8"], "proxy_protocol": ["127.0.0.2/32"]}
"""Of a listener to which clients come from loopback, and through a balancer from `source` addresses of 10.0.0.0/8: the
throttle counts all of loopback as one."""


def configuration(directory: Path, upstream_address: str, certificates: Certificates, **changes: Any) -> dict[str, Any]:
    """Listeners `plain`, `tls` and `socket` with sasl and token, the users above, an upstream, an admin port.

    `changes` replace whole top-level keys; for listeners, `upstream` and `limits` they are merged into what is there,
    and a listener of None is taken out.
    """
    logging_in = {"authentication": ["sasl", "token"], "mechanisms": ["PLAIN"]}
    listeners: dict[str, Any] = {
        "plain": {"bind": ["127.0.0.1:0"], **BEHIND, **logging_in},
        "tls": {"bind": ["127.0.0.1:0"], **BEHIND, "tls": server_tls(certificates), **logging_in},
        "socket": {"bind": [f"unix:{directory}/mcproxy.sock"], **logging_in},
    }
    listeners |= changes.pop("listeners", {})
    settings: dict[str, Any] = {
        "listeners": {name: listener for name, listener in listeners.items() if listener is not None},
        "upstream": {"address": upstream_address, "timeout": "5s", **changes.pop("upstream", {})},
        "users_file": str(directory / "users"),
        "roles": ROLES,
        "grants": GRANTS,
        "limits": changes.pop("limits", {}),
        # Nothing goes up that a test didn't ask for.
        "admin": {"bind": "127.0.0.1:0", "upstream_statistics": False},
        "logging": {"level": "info", "format": "json"},
    }
    settings |= changes
    return {key: value for key, value in settings.items() if value is not None}


def server_tls(certificates: Certificates, **more: Any) -> dict[str, Any]:
    return {"certificate": str(certificates.server_certificate), "key": str(certificates.server_key), **more}


def write_users(path: Path, passwords: Mapping[str, str], iterations: int = ITERATIONS) -> None:
    """A users file that only its owner can read."""
    path.touch(mode=0o600)
    lines = [format_line(name, make_verifier(password, iterations)) for name, password in passwords.items()]
    path.write_text("\n".join(lines) + "\n")


def write_configuration(path: Path, settings: Mapping[str, Any]) -> None:
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(dict(settings), sort_keys=False))
