"""mcproxy itself as one that is measured: its configuration and its users."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.forms import Form, mcproxy_python
from bench.peers import KEY_PREFIX, Peer, Place
from bench.processes import BenchError, free_port

ITERATIONS = 32_768  # what `mcproxy user add` does without further words


@dataclass(frozen=True)
class Setup:
    """What may differ from one measured configuration to the other.

    `users` in the users file, `logins` of them log in; `allowed` entries of the allowlist; `keys` of the role.
    """

    users: int = 1
    logins: int = 1
    allowed: int = 1
    keys: tuple[str, ...] = (KEY_PREFIX + "*",)
    authentication: tuple[str, ...] = ("token", "sasl")


ORDINARY = Setup()


def users_file(setup: Setup, logins: Sequence[str]) -> str:
    """Lines for all users; those who log in are spread evenly. The others share one verifier: only names tell."""
    nobody = verifier(secrets.token_urlsafe(18))
    lines = [f"user{number:06}:{nobody}" for number in range(setup.users)]
    step = max(1, setup.users // len(logins))
    for place, login in enumerate(logins):
        name, _, password = login.partition(" ")
        lines[place * step] = f"{name}:{verifier(password)}"
    return "\n".join(lines) + "\n"


def verifier(password: str) -> str:
    """What the users file keeps of an ASCII password (RFC 5802 section 3)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${ITERATIONS}:{salt_text}${stored_text}:{server_text}"


def allowlist(entries: int) -> list[str]:
    """So many addresses, no two of them neighbours; 127.0.0.1 stands in the middle."""
    found = [f"10.{number >> 15 & 255}.{number >> 7 & 255}.{(number & 127) * 2}" for number in range(entries - 1)]
    return [*found[: entries // 2], "127.0.0.1", *found[entries // 2 :]]


def configuration(place: Place, setup: Setup) -> str:
    """All that mcproxy is for: a login against a SCRAM verifier, grants by key prefix, metrics, logs."""
    listener: dict[str, object] = {
        "bind": [place.address],
        "allow": allowlist(setup.allowed),
        "protocols": ["text", "binary"],
        "authentication": list(setup.authentication),
    }
    if "sasl" in setup.authentication:
        listener["mechanisms"] = ["PLAIN"]
    if place.tls:
        listener["tls"] = {"certificate": str(place.certificate), "key": str(place.key)}
    settings: dict[str, object] = {
        "listeners": {"bench": listener},
        "upstream": {"address": place.upstream},
        "roles": {"bench": {"commands": ["read", "write"], "keys": list(setup.keys)}},
        "workers": 1,
        "admin": {"bind": f"127.0.0.1:{free_port()}"},
        "logging": {"level": "info", "format": "json"},
    }
    if setup.authentication == ("none",):
        settings["default_roles"] = ["bench"]
    else:
        names = ["bench", *(f"bench{number}" for number in range(1, setup.logins))]
        logins = [f"{name} {secrets.token_urlsafe(18)}" for name in names]
        place.write("login", "\n".join(logins) + "\n")
        settings["users_file"] = place.write("users", users_file(setup, logins))
        settings["grants"] = [{"user": name, "roles": ["bench"]} for name in names]
    return json.dumps(settings, indent=1)  # JSON is YAML


def mcproxy(form: Form, name: str = "mcproxy", setup: Setup = ORDINARY) -> Peer:
    """One to be measured under this name."""

    def command(place: Place) -> list[str]:
        file = place.write("mcproxy.yaml", configuration(place, setup))
        return [place.python, "-m", "mcproxy", "run", "--config", file]

    return Peer(
        name,
        mcproxy_python(),
        "",
        command,
        version=("-m", "mcproxy", "--version"),
        is_required=True,
        logs_in=setup.authentication != ("none",),
        is_checked=setup.authentication != ("none",),
        home=form.home,  # Python looks for modules in its working directory first
    )


def other_mcproxy(checkout: Path) -> Peer:
    """Another state of mcproxy, as "before": what a change did to the speed shows side by side in one run."""
    if not (checkout / "mcproxy" / "__init__.py").is_file():
        raise BenchError(f"--before {checkout}: there is no mcproxy/ in it; name a directory with another checkout")
    return mcproxy(Form("before", checkout.resolve()), "before")
