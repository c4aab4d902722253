"""How many processors may be used: by the scheduler's word, and by the control groups' quotas."""

import math
import os

import pytest

from mcproxy.config import processors


@pytest.fixture
def groups(tmp_path):
    """A control group /a/b, and the file that says so."""
    (tmp_path / "fs" / "a" / "b").mkdir(parents=True)
    (tmp_path / "own").write_text("1:name=systemd:/x\n0::/a/b\n")
    return tmp_path / "fs"


def quota(groups):
    return processors.quota(groups, groups.parent / "own")


def test_without_a_quota_there_is_no_bound(groups):
    assert quota(groups) == math.inf
    (groups / "a" / "cpu.max").write_text("max 100000\n")
    assert quota(groups) == math.inf


def test_the_smallest_quota_on_the_way_up_counts(groups):
    (groups / "a" / "b" / "cpu.max").write_text("400000 100000\n")
    assert quota(groups) == 4
    (groups / "a" / "cpu.max").write_text("150000 100000\n")
    assert quota(groups) == 1.5


@pytest.mark.parametrize("content", ["", "x y\n", "1\n", "5 0\n"])
def test_what_cannot_be_read_is_no_bound(groups, content):
    (groups / "a" / "cpu.max").write_text(content)
    assert quota(groups) == math.inf


def test_another_machine_without_control_groups(tmp_path):
    assert processors.quota(tmp_path, tmp_path / "missing") == math.inf


def test_auto_is_at_least_one_and_at_most_what_there_is(monkeypatch):
    assert 1 <= processors.parse_workers("auto") <= len(os.sched_getaffinity(0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(processors, "quota", lambda groups, own: 2.5)
    assert processors.parse_workers("auto") == 3
    monkeypatch.setattr(processors, "quota", lambda groups, own: 0.1)
    assert processors.parse_workers("auto") == 1
