"""Whatever a client puts into a name, the line stays one line, and nothing in it can steer a terminal."""

import json

import pytest

from mcproxy.observe.render import LINE_LIMIT, render_console, render_json

HOSTILE = [
    "sammy\r\n2026-01-01T00:00:00Z info login_succeeded user=root",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31m",
    "tab\tand\x00nul\x7fdel",
    "line separator\u2028paragraph\u2029next line\x85",
    "right to left \u202e override \u2066 isolate",
    'quote " backslash \\ name=value',
    "lone \udcff surrogate",
    "",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("render", [render_json, render_console])
def test_a_hostile_name_makes_one_clean_line(render, name):
    line = render({"event": "login_failed", "user": name})
    assert line.endswith(b"\n")
    text = line[:-1].decode()
    assert text.isprintable(), text


@pytest.mark.parametrize("name", HOSTILE)
def test_json_gives_the_name_back_exactly(name):
    assert json.loads(render_json({"event": "login_failed", "user": name}))["user"] == name


@pytest.mark.parametrize("key", ["event", "user"])
def test_a_hostile_name_cannot_add_a_field_on_the_console(key):
    line = render_console({"event": "e", "user": "x", key: "a user=root \x1b[1m"}).decode()
    assert '"a user=root \\x1b[1m"' in line


def test_console_shows_plain_words_bare_and_others_quoted():
    fields = {"timestamp": "2026-01-01T00:00:00Z", "level": "info", "event": "connection_refused"}
    line = render_console(fields | {"source": "::1", "reason": "not on the allowlist", "count": 3, "name": "Zoë"})
    assert line.decode() == (
        '2026-01-01T00:00:00Z info connection_refused source=::1 reason="not on the allowlist" count=3 name="Zoë"\n'
    )


def test_numbers_stay_numbers_in_json_and_objects_are_shown_as_text():
    class Name:
        def __str__(self):
            return "user:sammy"

    fields = json.loads(render_json({"count": 3, "ok": True, "nothing": None, "principal": Name()}))
    assert fields == {"count": 3, "ok": True, "nothing": None, "principal": "user:sammy"}


@pytest.mark.parametrize("render", [render_json, render_console])
@pytest.mark.parametrize("fill", ["a", "\x00", "\U000e0041", "ü"])
def test_a_long_name_is_cut_and_the_line_stays_within_an_atomic_write(render, fill):
    fields = {"event": "e"} | {f"field{number}": fill * 100_000 for number in range(19)}
    line = render(fields)
    assert len(line) <= LINE_LIMIT
    assert b"field18" in line
    assert b"..." in line


def test_the_end_of_a_long_text_survives():
    line = render_json({"exception": "Traceback" + "x" * 10_000 + "ValueError: the reason"})
    assert json.loads(line)["exception"].endswith("ValueError: the reason")


def test_an_event_with_too_many_fields_still_says_what_it_was():
    line = render_json({"event": "e"} | {f"field{number}": "x" * 12 for number in range(500)})
    assert json.loads(line) == {"event": "e", "cut": True}
