"""docs/configuration.md and the examples agree with the schema."""

import re
from pathlib import Path
from typing import Annotated

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter
from pydantic.fields import FieldInfo

from mcproxy.config.changes import LISTENER_NEEDS_RESTART, NEEDS_RESTART, UPSTREAM_NEEDS_RESTART
from mcproxy.config.explain import known_keys
from mcproxy.config.load import loads
from mcproxy.config.problems import dotted
from mcproxy.config.schema import Grant, Listener, Role, Settings

ROOT = Path(__file__).parents[3]
ENTRY = re.compile(r"^### `([^`]+)`\n(.+?)\nDefault: (.+)\nExample: (.+)$", re.MULTILINE | re.DOTALL)
COLLECTIONS = {"listeners": ("listeners.NAME", Listener), "roles": ("roles.NAME", Role), "grants": ("grants[]", Grant)}


def fields(model: type[BaseModel] = Settings, prefix: str = "") -> dict[str, FieldInfo]:
    """Every key of the schema under its documented name."""
    found: dict[str, FieldInfo] = {}
    for key, field in known_keys(model).items():
        found[f"{prefix}{key}"] = field
        if not prefix and key == "upstreams":
            continue  # has the keys of `upstream`, as its entry says
        if not prefix and key in COLLECTIONS:
            name, inner = COLLECTIONS[key]
            found |= fields(inner, f"{name}.")
        else:
            annotations = (field.annotation, *getattr(field.annotation, "__args__", ()))
            for annotation in annotations:
                if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                    found |= fields(annotation, f"{prefix}{key}.")
    return found


def entries() -> dict[str, tuple[str, str]]:
    text = (ROOT / "docs" / "configuration.md").read_text()
    blocks = re.split(r"^(?=##+ )", text, flags=re.MULTILINE)
    found = [match for block in blocks if (match := ENTRY.match(block))]
    assert len(found) == text.count("\n### "), "an entry without Default and Example"
    return {match[1]: (match[3].strip(), match[4].strip()) for match in found}


FIELDS = fields()
ENTRIES = entries()


def parsed(field: FieldInfo, text: str):
    """A documented value, read as the loader would read it."""
    value = yaml.safe_load(text.removeprefix("`").removesuffix("`"))
    kind = Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
    return TypeAdapter(kind).validate_python(value)


def test_every_key_has_an_entry_and_every_entry_is_a_key():
    assert len(FIELDS) > 50
    assert set(ENTRIES) == set(FIELDS)


@pytest.mark.parametrize("key", FIELDS)
def test_the_default_is_the_documented_one(key):
    field, (default, _) = FIELDS[key], ENTRIES[key]
    if field.is_required():
        assert default == "required"
    elif field.default is None:
        assert default == "not set"
    elif isinstance(field.default, BaseModel):
        assert default == "all of the following"
        assert field.default == type(field.default)()
    else:
        assert default.startswith("`")
        assert parsed(field, default) == field.default


@pytest.mark.parametrize("key", FIELDS)
def test_the_example_is_valid(key):
    _, example = ENTRIES[key]
    field = FIELDS[key]
    if example.startswith("`"):
        assert parsed(field, example) is not None
    else:
        assert key == "listeners"


@pytest.mark.parametrize("name", ["mcproxy.example.yaml", "mcproxy.minimal.yaml"])
def test_the_examples_are_right(name):
    path = ROOT / "config" / name
    settings = loads(path.read_text(), path, check_machine=False)
    assert settings.listeners


def test_the_full_example_shows_every_key_with_its_default():
    """Where a value differs from the default on purpose, its comment or docs/configuration.md says what that is."""
    data = yaml.safe_load((ROOT / "config" / "mcproxy.example.yaml").read_text())
    shown = set(data) | {f"limits.{key}" for key in data["limits"]}
    for section in ("saslauthd", "admin", "logging"):
        shown |= {f"{section}.{key}" for key in data[section]}
    shown |= {f"admin.tls.{key}" for key in data["admin"]["tls"]}
    for upstream in data["upstreams"].values():
        shown |= {f"upstream.{key}" for key in upstream}
        shown |= {f"upstream.{section}.{key}" for section in ("tls", "login") for key in upstream.get(section, ())}
    for listener in data["listeners"].values():
        shown |= {f"listeners.NAME.{key}" for key in listener}
        shown |= {f"listeners.NAME.tls.{key}" for key in listener.get("tls", ())}
    for grant in data["grants"]:
        shown |= {f"grants[].{key}" for key in grant}
    for role in data["roles"].values():
        shown |= {f"roles.NAME.{key}" for key in role}
    assert set(FIELDS) - shown == {"grants[].peer.uid", "grants[].peer.gid", "upstream"}
    for key, value in data["limits"].items():
        assert parsed(FIELDS[f"limits.{key}"], str(value)) == FIELDS[f"limits.{key}"].default


def test_what_needs_a_restart_is_told():
    text = (ROOT / "docs" / "configuration.md").read_text()
    section = text.partition("\n## Reload\n")[2].partition("\n## ")[0]
    told = set(re.findall(r"^- `([^`]+)`", section, re.MULTILINE))
    needed = {dotted(place) for place in NEEDS_RESTART}
    needed |= {f"listeners.NAME.{key}" for key in LISTENER_NEEDS_RESTART} | {"listeners"}
    needed |= {f"upstream.{key}" for key in UPSTREAM_NEEDS_RESTART} | {"upstreams"}
    assert told == needed
    assert told <= set(FIELDS)
