"""How mcproxy is configured to be measured."""

import pytest

from bench.subject import Setup, allowlist, users_file
from mcproxy.auth.users import parse_users


def test_users_who_log_in_are_among_all_users() -> None:
    users = parse_users(users_file(Setup(users=5, logins=2), ["bench first", "bench1 second"]))
    assert len(users) == 5
    for name, password in (("bench", "first"), ("bench1", "second")):
        (verifier,) = users.password_verifiers(name)
        assert verifier.matches(password)


@pytest.mark.parametrize("entries", [1, 10, 100_000])
def test_an_allowlist_has_as_many_different_addresses(entries: int) -> None:
    found = allowlist(entries)
    assert len(set(found)) == entries
    assert "127.0.0.1" in found
