"""The status page as it is sent: whole, and held to itself by its policy. Integration tests look at it in a browser."""

import base64
import hashlib
import re

import h11
import trio

from mcproxy.server import status_page
from mcproxy.server.admin_pages import Pages, no_obstacle
from mcproxy.server.status_page import page


def test_the_policy_names_what_is_in_the_page_and_nothing_else():
    body, content_type, policy = page()
    assert content_type == "text/html; charset=utf-8"
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        found = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>".encode(), body, re.DOTALL)
        assert len(found) == 1
        assert directives[directive] == f"'sha256-{base64.b64encode(hashlib.sha256(found[0]).digest()).decode()}'"
    assert directives["default-src"] == "'none'"
    assert directives["frame-ancestors"] == "'none'"
    assert directives["require-trusted-types-for"] == "'script'"


def test_the_page_names_no_other_address():
    body, _, _ = page()
    addresses = set(re.findall(r"""(?:https?:)?//[a-z][^\s'"<>`)]*""", body.decode()))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of a vocabulary
    assert not re.search(rb"""<[^>]*\s(style|on[a-z]+)\s*=""", body)


def test_nothing_in_the_page_makes_markup_of_text():
    body, _, _ = page()
    for way in (b"innerHTML", b"outerHTML", b"insertAdjacentHTML", b"document.write", b"eval(", b"new Function"):
        assert way not in body


def test_it_is_small():
    assert len(page()[0]) < 50_000


def test_an_upgrade_underneath_does_not_change_it(monkeypatch):
    """It is read with the program, not when somebody asks for it."""

    def gone(_):
        raise FileNotFoundError

    async def status():
        return b"{}"

    request = h11.Request(method="GET", target="/", headers=[("Host", "localhost")])
    with monkeypatch.context() as upgrading:
        upgrading.setattr(status_page, "files", gone)
        reply = trio.run(Pages(no_obstacle, status=status).answer, b"/", request)
    assert (reply.status, reply.body) == (200, page()[0])
