"""The list of holes: whole, and each release judged as its source says."""

import re

import pytest

from mcproxy.doctor.known_holes import HOLES, Hole, Needs

OFF = {"udpport": "0", "auth_enabled_sasl": "no", "auth_enabled_ascii": "no"}


def named(name: str) -> Hole:
    return next(hole for hole in HOLES if hole.name == name)


def test_each_has_a_source_and_a_release_that_mended_it():
    for hole in HOLES:
        assert hole.source.startswith("https://") or hole.source == "docs/security.md"
        assert hole.introduced is None or hole.introduced < hole.fixed
        if hole.name.startswith("CVE-"):
            assert re.fullmatch(r"CVE-[0-9]{4}-[0-9]{4,7}", hole.name)
            assert hole.source.endswith(hole.name)
    assert len({hole.name for hole in HOLES}) == len(HOLES)


@pytest.mark.parametrize(
    ("name", "last_affected", "first_not"),
    [
        ("CVE-2016-8705", (1, 4, 32), (1, 4, 33)),
        ("CVE-2018-1000115", (1, 5, 5), (1, 5, 6)),
        ("CVE-2019-11596", (1, 5, 13), (1, 5, 14)),
        ("CVE-2020-10931", (1, 6, 1), (1, 6, 2)),
        ("CVE-2020-10931", (1, 6, 0), (1, 5, 22)),
        ("CVE-2022-48571", (1, 6, 7), (1, 6, 8)),
        ("CVE-2023-46852", (1, 6, 21), (1, 6, 22)),
        ("CVE-2026-47783", (1, 6, 41), (1, 6, 42)),
        ("CVE-2026-90698", (1, 6, 43), (1, 6, 44)),
        ("CVE-2026-90698", (1, 6, 41), (1, 6, 40)),
    ],
)
def test_the_ranges_end_where_the_source_says(name, last_affected, first_not):
    assert named(name).affects(last_affected)
    assert not named(name).affects(first_not)


def test_what_is_off_is_no_hole():
    open_ones = {hole.needs for hole in HOLES if hole.is_open(OFF)}
    assert open_ones == {Needs.NOTHING}


def test_what_is_not_told_counts_as_on():
    assert all(hole.is_open({}) for hole in HOLES)


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"udpport": "11211"}, "CVE-2022-48571"),
        ({"auth_enabled_sasl": "yes"}, "CVE-2026-47783"),
        ({"auth_enabled_ascii": "/etc/memcached.users"}, "CVE-2026-90698"),
        ({"proxy_enabled": "yes"}, "CVE-2023-46853"),
        ({"auth_enabled_sasl": "yes", "udpport": "11211"}, "memcached 1.5.20"),
    ],
)
def test_what_is_on_is_one(settings, name):
    assert named(name).is_open({**OFF, **settings})
    assert not named(name).is_open(OFF)
