"""What runs, by what /status.json says, against what is on disk."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from mcproxy.config.fingerprints import KEY_BESIDE_USERS, compared_files, fingerprints
from mcproxy.doctor.deployment import Asked, Deployment
from mcproxy.doctor.processes import same_as_disk
from tests.unit.doctor.examining import deployment, told

STATUS = {"listeners": [{"name": "private"}], "last_reload": None, "ready": None}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mcproxy.yaml"
    path.touch()
    os.utime(path, (1_000_000_000, 1_000_000_000))
    return path


def examined(path: Path, configuration: str | None = None, **sections: Any) -> Deployment:
    """A proxy that runs by the configuration on disk, or by one with this fingerprint."""
    on_disk = deployment(**sections)
    read = fingerprints(on_disk.material) | ({} if configuration is None else {"configuration": configuration})
    files: list[dict[str, object]] = [{"key": key, "fingerprint": of} for key, of in read.items()]
    files += [{"key": key, "unchanged": True} for key in compared_files(on_disk.material) if key not in read]
    return dataclasses.replace(on_disk, asked=Asked(path), status={**STATUS, "files": files})


def test_the_same(path):
    assert [verdict for verdict, _ in told(same_as_disk(examined(path)))] == ["ok"]


def test_another_configuration(path):
    found = told(same_as_disk(examined(path, "another", watch_files=False)))
    assert found == [("finding", f"it runs by another configuration than {path} holds now")]


def test_what_has_just_been_put_there_is_left_to_a_proxy_that_looks(path):
    """It has been put there just now, whatever time it has."""
    assert [verdict for verdict, _ in told(same_as_disk(examined(path, "another", watch_files=True)))] == ["ok"]


def test_one_that_does_not_tell_what_it_has_read_is_not_taken_for_well(path):
    silent = dataclasses.replace(examined(path), status=STATUS)
    assert [verdict for verdict, _ in told(same_as_disk(silent))] == ["could not tell"]


@pytest.mark.parametrize("files", [[], [7], [{"key": []}], [{"fingerprint": {}}]])
def test_an_answer_that_makes_no_sense(path, files):
    odd = dataclasses.replace(examined(path, watch_files=False), status={**STATUS, "files": files})
    assert [verdict for verdict, _ in told(same_as_disk(odd))] == ["finding"]


@pytest.mark.parametrize(
    ("row", "verdict"),
    [({"unchanged": False}, "finding"), ({"unchanged": None}, "could not tell"), ({}, "could not tell")],
)
def test_of_secrets_the_proxy_tells(path, row, verdict):
    same = examined(path, watch_files=False)
    assert same.status is not None
    rows = [one for one in same.status["files"] if one["key"] != KEY_BESIDE_USERS]
    other = dataclasses.replace(same, status={**same.status, "files": [*rows, {"key": KEY_BESIDE_USERS, **row}]})
    [(found, seen)] = told(same_as_disk(other))
    assert (found, KEY_BESIDE_USERS in seen) == (verdict, True)
