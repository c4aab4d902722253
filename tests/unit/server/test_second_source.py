"""Sessions that saslauthd let in, when a reload has changed the users file or whom is asked."""

import socket
from typing import Any

import pytest

from mcproxy.auth.principals import Principal
from mcproxy.auth.users import Users
from mcproxy.server.basis import Basis, objection
from mcproxy.server.generation import make_generation
from mcproxy.server.saslauthd import saslauthd_of
from mcproxy.server.state import Generation
from tests.unit.auth.checking import users_of
from tests.unit.config.building import DELETE, changed, settings_of


def generation(users: Users, *changes: tuple[str, Any]) -> Generation:
    plain = ("listeners.local.mechanisms", ["PLAIN"])
    return make_generation(1, settings_of(changed(("listeners.private", DELETE), plain, *changes)), users)


@pytest.mark.parametrize(
    ("users", "changes", "stays"),
    [
        ({}, [("saslauthd", {})], True),
        ({"sammy": "correct"}, [("saslauthd", {"timeout": "3s"})], True),
        ({"olga": "of her own"}, [("saslauthd", {})], False),
        ({}, [("saslauthd", {"realm": "example.org"})], False),
        ({}, [("saslauthd", {"socket": "/run/other/mux"})], False),
        ({}, [], False),
    ],
)
def test_a_session_lasts_as_long_as_it_would_be_let_in_again(
    users: dict[str, str], changes: list[tuple[str, Any]], stays: bool
) -> None:
    before = settings_of(changed(("saslauthd", {}))).saslauthd
    source = saslauthd_of(before)
    assert source is not None
    here, there = socket.socketpair()
    with here, there:
        basis = Basis(
            "local", here, "127.0.0.1", principal=Principal("user", "olga"), by="token", secret=source.identity
        )
        why = objection(basis, generation(users_of(**users), *changes))
    assert why == (None if stays else "the secret that it logged in with does not count any more")
