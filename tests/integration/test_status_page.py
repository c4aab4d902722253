"""The status page in a real browser: of a real proxy, and of one that says whatever a test wants it to."""

import copy
import os
from pathlib import Path

import pytest

from tests.support import status_samples
from tests.support.browser import Browser
from tests.support.status_samples import DAY, HOSTILE, NOW
from tests.support.status_server import StatusServer
from tests.support.waiting import eventually

WIDTHS = (360, 800, 1600)


@pytest.fixture(scope="module")
def window():
    """One for all tests: a browser takes a second to start."""
    with Browser() as opened:
        yield opened


@pytest.fixture(autouse=True)
def _nothing_in_the_console(window):
    """No error, no warning, nothing that the page's policy forbids; but for the answers that a test withholds."""
    yield
    withheld = ("net::ERR_EMPTY_RESPONSE", "status of 503")
    assert [problem for problem in window.problems() if not any(words in problem for words in withheld)] == []


@pytest.fixture
def server():
    with StatusServer() as serving:
        serving.status = status_samples.busy()
        yield serving


@pytest.fixture
def shown(window, server):
    """Opens the page with a status, and returns when that is shown."""

    def show(status, width=1600, scheme="light"):
        server.status = status
        window.look(width, scheme)
        window.open(f"http://127.0.0.1:{server.port}/")
        eventually("the page shows it", lambda: window.text("#pulse").startswith("updated"))
        return window

    return show


def test_a_real_proxy(window, proxy):
    proxy.connect_raw("plain", source="127.0.0.3").close()
    refused = proxy.connect("plain")
    refused.send(b"set _ 0 0 11\r\nsammy wrong\r\n")
    refused.line()
    sammy, reader = proxy.logged_in("sammy"), proxy.logged_in("reader")
    for connection, asked in ((sammy, b"get app:a\r\n"), (reader, b"get other:a\r\n")):
        connection.send(asked)
        connection.line()
    window.look(1600)
    window.open(f"http://{proxy.address('admin')}/")
    eventually("the page shows it", lambda: window.text("#pulse").startswith("updated"))
    # The tests' certificates are short-lived, and nothing else is wrong.
    assert window.text("#sentence") == "It serves requests, but something is seriously wrong."
    assert window.texts("#reasons li") == ["Critical Listener tls: certificate expires in 1 day"]
    assert window.texts("#listeners h3") == ["plain", "tls", "socket"]
    assert proxy.address("plain") in window.text("#listeners")
    assert [pill[:5] for pill in window.texts("#listeners .pill[data-level=critical]")] == ["only "]
    assert "text: 2 of 2 links" in window.texts("#upstreams .pill")
    rows = window.texts("#principals tr")
    assert any(row.startswith("sammy user 1 ") for row in rows), rows
    assert any(row.startswith("reader user 1 ") for row in rows), rows
    refusals = window.texts("#refusals tr")
    assert any("Login failed wrong user name or password" in row for row in refusals), refusals
    assert any("Request refused denied (class read) user:reader" in row for row in refusals), refusals
    # Rates are measured every two seconds.
    eventually(
        "plots have points", lambda: window.run("return document.querySelector('.plot path.first').getAttribute('d')")
    )
    window.open(f"http://{proxy.address('admin')}/status")
    assert window.run("return document.title") != ""
    ours = (f"http://{proxy.address('admin')}/", f"http://{proxy.address('admin')}/status")
    assert {url.removesuffix(".json") for url in window.requested() if proxy.address("admin") in url} <= set(ours)
    assert [url for url in window.requested() if "://127.0.0.1:" not in url] == []


def test_a_token_in_the_browser_s_question_for_a_password(window, start_proxy, tap, short_path):
    token = short_path() / "token"
    token.touch(mode=0o600)
    token.write_text("a-token-of-the-test-that-is-long-enough\n")
    guarded = start_proxy(tap.address, admin={"bind": "127.0.0.1:0", "token_file": str(token)})
    window.look(1600)
    window.open(f"http://anybody:{token.read_text().strip()}@{guarded.address('admin')}/")
    eventually("the page shows it", lambda: window.text("#pulse").startswith("updated"))
    assert "token required" in window.text("#process")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["busy", "quiet", "down", "hostile"])
def test_it_fits_and_can_be_read(shown, name, scheme):
    status = {
        "busy": status_samples.busy,
        "quiet": status_samples.status,
        "down": status_samples.down,
        "hostile": status_samples.hostile,
    }[name]()
    window = shown(status, scheme=scheme)
    assert window.worst_contrasts()[0][0] >= 4.5, window.worst_contrasts()
    for width in WIDTHS:
        window.look(width, scheme)
        assert window.overflow() == [], width
        keep_picture(window, f"{name}-{scheme}-{width}")


def keep_picture(window, name):
    """For whoever wants to look at them: MCPROXY_PICTURES names a directory."""
    if directory := os.environ.get("MCPROXY_PICTURES"):
        window.picture(Path(directory, f"{name}.png"))


def test_hostile_words_are_only_words(shown, server):
    window = shown(status_samples.hostile())
    assert window.run("return document.title") == "Critical · mcproxy"
    assert window.run("return document.querySelectorAll('img, main script, main style').length") == 0
    names = window.texts("#principals th > span:first-child")
    for told in (HOSTILE[0], HOSTILE[1], "\\u{202e}gnp.exe\\u{2066}\\u{200b} invoice", "\\u{d800} half"):
        assert told in names
    assert not any(char in "".join(names) for char in "\u202e\u2066\u200b\x1b\x07\x9b")
    # Long ones are cut, and whole enough in the title.
    script = "return [...document.querySelectorAll('#principals [title]')].map((one) => one.title.length)"
    assert max(window.run(script)) == 2000
    assert max(len(name) for name in names) <= 80
    assert set(server.asked) <= {"/", "/status.json"}


def test_zero_states(shown):
    window = shown(status_samples.status())
    assert window.text("#sentence") == "All is well."
    assert window.text("#refusals-none") == "No refusals since the start."
    assert window.text("#principals-none") == "Nobody has logged in since the start."
    assert window.texts(".plot .current") == ["no data yet"] * 5
    assert window.text("#refusals-table") == ""


def test_what_is_wrong_is_said_in_words(shown):
    status = status_samples.busy()
    status["listeners"][0]["certificates"] = [
        {"key": key, "expires": NOW + days * DAY} for key, days in (("a", -2), ("b", 3), ("c", 20), ("d", 40))
    ]
    window = shown(status)
    pills = window.texts("#listeners li .pill")
    assert pills == ["expired 2 days ago", "only 3 days left", "only 20 days left", "40 days left"]
    assert window.text("#sentence") == "It serves requests, but something is seriously wrong."
    assert "Critical Listener private: a has expired" in window.texts("#reasons li")
    assert "text: 1 of 2 links no connection" in window.texts("#upstreams li")
    assert window.texts(".meter[data-level=warning]") == ["File descriptors 448 of 512, 87.5 %, nearly full"]
    assert "no role is called 'aap'" in window.text("#process")


def test_the_last_figures_stay_when_the_connection_is_lost(shown, server):
    window = shown(status_samples.busy())
    before = window.texts("#principals tr")
    server.status = None
    window.refresh()
    eventually("the loss is told", lambda: window.text("#lost-sentence"))
    assert window.text("#lost-sentence").startswith("No answer from mcproxy since ")
    assert window.run("return document.querySelector('#lost-sentence').getAttribute('role')") == "alert"
    assert window.run("return document.title") == "no answer · mcproxy"
    assert window.texts("#principals tr") == before
    assert window.worst_contrasts()[0][0] >= 4.5
    server.status, server.code = b"gone away", 503
    window.refresh()
    eventually("another reason", lambda: "status 503" in window.text("#lost-sentence"))
    server.status, server.code = b"{}", 200
    window.refresh()
    eventually("a third one", lambda: "503" not in window.text("#lost-sentence"))
    server.status = status_samples.busy()
    window.refresh()
    eventually("it is back", lambda: window.text("#lost") == "")
    assert window.run("return document.body.classList.contains('stale')") is False


def test_what_has_not_changed_is_left_alone(shown, server):
    window = shown(status_samples.busy())
    window.run("window.row = document.querySelector('#principals tr'); getSelection().selectAllChildren(row)")
    window.run("document.querySelector('#refusals-table').focus()")
    selected = window.run("return String(getSelection())")
    changed = copy.deepcopy(server.status)
    changed["principals"][3]["requests"] += 5
    changed["principals"][3]["sessions"] = 500
    server.status = changed
    window.refresh()
    eventually("the change is shown", lambda: window.texts("#principals tr")[0].startswith("legacy"))
    assert window.run("return document.contains(window.row) && String(getSelection())") == selected
    assert window.run("return document.activeElement.id") == "refusals-table"


def test_it_can_be_used_without_eyes_or_mouse(shown):
    window = shown(status_samples.busy())
    assert window.run("return document.querySelectorAll('main, header, footer, nav').length") >= 4
    assert window.run("return document.querySelector('#sentence').closest('[aria-live=polite]') !== null")
    # Everything that scrolls can be scrolled with keys, and has a name.
    script = """return [...document.querySelectorAll('.scroll')].every((one) => one.tabIndex === 0
        && document.getElementById(one.getAttribute('aria-labelledby')))"""
    assert window.run(script)
    assert window.run("return [...document.querySelectorAll('thead th')].every((one) => one.scope === 'col')")
    names = window.run("return [...document.querySelectorAll('.plot svg[role=img]')].map((one) => one.ariaLabel)")
    assert names[0].startswith("Requests, the last five minutes: now requests 6,958 a second; highest ")
