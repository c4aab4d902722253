"""A configuration that is right, and what becomes wrong when something in it changes."""

import copy
from pathlib import Path
from typing import Any

import yaml

from mcproxy.config.load import loads
from mcproxy.config.problems import ConfigurationError
from mcproxy.config.schema import Settings

FILE = Path("/etc/mcproxy/mcproxy.yaml")

RIGHT: dict[str, Any] = {
    "listeners": {
        "local": {"bind": ["127.0.0.1:11212"], "allow": ["127.0.0.1"], "authentication": ["sasl", "token"]},
        "private": {
            "bind": ["10.0.0.5:11212"],
            "allow": ["10.0.0.0/24"],
            "authentication": ["sasl"],
            "tls": {"certificate": "tls.crt", "key": "tls.key"},
        },
        "sidecar": {"bind": ["unix:/run/mcproxy/memcached.sock"], "authentication": ["peer"]},
    },
    "upstream": {"address": "127.0.0.1:11211"},
    "users_file": "users",
    "roles": {"app": {"commands": ["read"], "keys": ["app:*"]}},
    "grants": [{"user": "sammy", "roles": ["app"]}],
}

DELETE = object()
"""As a change: take the key out."""

Change = tuple[str, Any]


def settings_of(data: Any) -> Settings:
    text = data if isinstance(data, str) else yaml.safe_dump(data, sort_keys=False)
    return loads(text, FILE, check_machine=False)


def problems_in(data: Any) -> list[str]:
    """What is wrong, each as `key: message`; of text too."""
    try:
        settings_of(data)
    except ConfigurationError as error:
        return [f"{problem.key}: {problem.message}" for problem in error.problems]
    return []


def changed(*changes: Change) -> dict[str, Any]:
    """The right configuration with the values at dotted places replaced."""
    data = copy.deepcopy(RIGHT)
    for place, value in changes:
        *parents, last = place.split(".")
        inner = data
        for parent in parents:
            inner = inner.setdefault(parent, {})
        if value is DELETE:
            del inner[last]
        else:
            inner[last] = value
    return data


def problems_after(*changes: Change) -> list[str]:
    """What is wrong with the right configuration so changed."""
    return problems_in(changed(*changes))
