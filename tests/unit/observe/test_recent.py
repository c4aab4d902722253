"""What the status page shows of refusals: whatever the log's level, each kind once, and hostile texts as data."""

import json
import os

import pytest

from mcproxy.observe import log
from mcproxy.observe.recent import LONGEST, MOST, Recent, shown, together


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        self.now += 1.0
        return self.now


@pytest.fixture
def recent():
    return Recent(Clock())


def test_what_is_kept_of_an_event(recent):
    recent.note(
        {"event": "login_failed", "listener": "private", "source": "10.0.0.9", "principal": "user:sammy",
         "by": "PLAIN", "reason": "wrong password"}
    )  # fmt: skip
    assert recent.newest() == [
        {
            "time": 1001.0,
            "event": "login_failed",
            "listener": "private",
            "source": "10.0.0.9",
            "principal": "user:sammy",
            "reason": "wrong password (by PLAIN)",
            "count": 1,
        }
    ]


def test_other_events_and_further_lines_of_a_failed_reload_are_not_kept(recent):
    recent.note({"event": "logged_in", "principal": "user:sammy"})
    recent.note({"event": "reload_failed", "problem": "the second", "number": 2})
    assert recent.newest() == []
    recent.note({"event": "reload_failed", "problem": "mcproxy.yaml:3: wrong", "number": 1})
    assert [refusal["reason"] for refusal in recent.newest()] == ["mcproxy.yaml:3: wrong"]


def test_equal_ones_are_counted_and_the_newest_comes_first(recent):
    for reason in ("a", "b", "a"):
        recent.note({"event": "request_refused", "reason": reason, "principal": "user:sammy"})
    assert [(refusal["reason"], refusal["count"], refusal["time"]) for refusal in recent.newest()] == [
        ("a", 2, 1003.0),
        ("b", 1, 1002.0),
    ]


def test_only_so_many_are_kept(recent):
    for number in range(MOST + 10):
        recent.note({"event": "connection_refused", "source": f"10.0.0.{number}", "reason": "not on the allowlist"})
    kept = recent.newest()
    assert len(kept) == MOST
    assert kept[0]["source"] == f"10.0.0.{MOST + 9}"
    assert kept[-1]["source"] == "10.0.0.10"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sammy", "sammy"),
        ("Grüße", "Grüße"),
        ("a\r\nb\x1b[2J\x7f\x85", r"a\r\nb\x1b[2J\x7f\x85"),
        ("\u202egnp.exe\u2066", r"\u202egnp.exe\u2066"),
        ("half \ud800", r"half \ud800"),
        ("a" * LONGEST, "a" * LONGEST),
        ("a" * 10_000, "a" * (LONGEST - 3) + "..."),
        ("\x00" * 10_000, r"\x00" * 49 + r"\..."),
        (None, None),
        (7, "7"),
    ],
)
def test_texts_stay_data(text, expected):
    assert shown(text) == expected
    json.dumps(shown(text)).encode()


def test_hostile_fields_of_an_event_stay_within_bounds(recent):
    recent.note(dict.fromkeys(("listener", "source", "principal", "names", "reason"), "\u202e" * 10000)
                | {"event": "login_failed"})  # fmt: skip
    (refusal,) = recent.newest()
    texts = [value for value in refusal.values() if isinstance(value, str)]
    assert max(map(len, texts)) <= LONGEST
    assert all(text.isprintable() for text in texts)


def test_several_processes_are_shown_as_one():
    one, other = Recent(Clock()), Recent(Clock())
    one.note({"event": "login_failed", "reason": "a"})
    one.note({"event": "login_failed", "reason": "b"})
    other.note({"event": "login_failed", "reason": "a"})
    merged = together([one.newest(), other.newest()])
    assert [(refusal["reason"], refusal["count"]) for refusal in merged] == [("b", 1), ("a", 2)]
    assert [refusal["count"] for refusal in one.newest()] == [1, 1]


def test_of_several_processes_too_only_so_many_are_kept():
    each = []
    for process in range(3):
        recent = Recent(Clock())
        for number in range(MOST):
            recent.note({"event": "login_failed", "reason": f"{process} {number}"})
        each.append(recent.newest())
    assert len(together(each)) == MOST


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_the_level_of_the_log_and_its_limit_change_nothing(level, monkeypatch):
    reading, writing = os.pipe()
    recent = Recent(Clock())
    monkeypatch.setattr(log, "recent", recent)
    try:
        log.configure(level, "json", descriptor=writing)
        for _ in range(50):
            log.get_logger().info("request_refused", reason="denied", **{"class": "write"})
        os.set_blocking(reading, False)
        lines = os.read(reading, 2**16).splitlines() if level in ("debug", "info") else []
        with pytest.raises(BlockingIOError):
            os.read(reading, 2**16)
    finally:
        log.configure()
        os.close(reading)
        os.close(writing)
    assert len(lines) == (10 if level in ("debug", "info") else 0)
    assert [(refusal["reason"], refusal["count"]) for refusal in recent.newest()] == [("denied (class write)", 50)]
