"""What `mcproxy top` shows of a status, as text."""

import pytest

from mcproxy.cli.top import text
from mcproxy.cli.top.view import View, plain
from mcproxy.observe.verdict import verdict
from tests.support import status_samples


def view(status, before=None, **options):
    return View(status | {"verdict": verdict(status)}, before, **options)


def words(status, *size):
    return [line.words for line in view(status).lines(*size)]


def test_a_busy_proxy():
    shown = plain(view(status_samples.busy()).lines())
    assert shown.startswith("WARNING  It serves requests, but 4 things need attention.\n  warning: Upstream sessions")
    assert (
        "194 sessions on 2 listeners, 7 links to 2 upstreams. Running for 12 days, 4 of 4 workers, generation 4."
        in shown
    )
    assert "\nrequests            6,958     11.3K     9,576     16.1K  " in shown
    assert "\nLinks to sessions: text 1 of 2 (no connection); binary 2 of 2\nLinks to cache: text 2 of 2" in shown
    assert "descriptors 448 of 512 (88 %); processor 37 %" in shown
    assert (
        "login failed (14 times): wrong user name or password (by token); who unknown, from 10.0.0.77, on private"
        in shown
    )


def test_principals_are_listed_by_their_sessions():
    status = status_samples.status()
    status["principals"] = [
        status_samples.principal("few", sessions=1, requests=900, denied=3),
        status_samples.principal("many", "certificate", sessions=12, requests=12_345, hits=1, misses=2),
        status_samples.principal("none", sessions=0, requests=0, hits=0, misses=0),
    ]
    status["principals_left_out"] = 7
    lines = words(status, 80)
    table = lines[next(index for index, line in enumerate(lines) if line.startswith("principal ")) :][:5]
    assert [line.split() for line in table] == [
        ["principal", "kind", "sessions", "requests", "each", "s", "hits", "denied"],
        ["many", "certificate", "12", "12.3K", "-", "33", "%", "0"],
        ["few", "user", "1", "900", "-", "80", "%", "3"],
        ["none", "user", "0", "0", "-", "-", "0"],
        ["and", "7", "more", "that", "the", "proxy", "does", "not", "list"],
    ]
    assert {len(line) for line in table[:4]} == {80}


def test_what_each_does_in_a_second_is_the_difference_of_two_looks():
    status = status_samples.status(principals=[status_samples.principal("app", requests=110)])
    before = status | {"now": status["now"] - 4, "principals": [status_samples.principal("app", requests=100)]}
    assert view(status, before)._each_second(status["principals"][0]) == "2.5"
    restarted = status | {"now": status["now"] + 2, "principals": [status_samples.principal("app", requests=3)]}
    assert view(restarted, status)._each_second(restarted["principals"][0]) == "-"


def test_zero_states():
    shown = words(status_samples.status())
    assert shown[0] == "GOOD  All is well."
    assert "nobody has logged in since the start" in shown
    assert shown[-2:] == ["refusals and denials, newest first", "none since the start"]
    assert any(line.startswith("requests          no data") for line in shown)


@pytest.mark.parametrize("make", [status_samples.busy, status_samples.hostile, status_samples.status])
@pytest.mark.parametrize("width", [1, 2, 5, 20, 40, 80, 200])
@pytest.mark.parametrize("height", [0, 1, 3, 10, 24, 35, 60])
def test_it_fits_on_any_screen(make, width, height):
    lines = words(make(), width, height)
    assert len(lines) <= height
    assert max(map(text.cells, lines), default=0) <= width


def test_on_a_small_screen_there_is_something_of_everything():
    shown = words(status_samples.busy(), 80, 23)
    assert shown[0].startswith("WARNING")
    for beginning in ("requests", "failed logins", "Links to sessions", "Used:", "sammy", "refusals and"):
        assert any(line.startswith(beginning) for line in shown), beginning
    assert "and 2 more" in shown[3]


def test_the_room_that_one_table_does_not_need_is_the_other_s():
    status = status_samples.busy(principals=[status_samples.principal("app")])
    status["refusals"] = [status_samples.refusal(number, "login_failed", "x") for number in range(100)]
    shown = words(status, 100, 50)
    assert len(shown) == 50
    assert shown[-1].startswith("and ")
    assert sum("login failed" in line for line in shown) > 20


def test_nothing_that_a_terminal_obeys_is_shown():
    shown = plain(view(status_samples.hostile()).lines())
    assert shown.replace("\n", "").isprintable()
    assert "\\x1b[2J" in shown
    assert "\\u202egnp.exe" in shown


def test_something_else_than_a_status():
    with pytest.raises((KeyError, TypeError)):
        View({"verdict": {}}).lines()
