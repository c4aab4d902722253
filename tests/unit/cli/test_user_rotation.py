"""Two passwords of a user for a while, several mechanisms, and what list and verify say of them."""

import json
from datetime import UTC, datetime

import pytest

from mcproxy.auth.users import format_line, parse_users
from mcproxy.auth.verifiers import make_verifier
from mcproxy.files.last_used import secret_name, write_last_used

ALL = ["--mechanism", "SCRAM-SHA-1", "--mechanism", "SCRAM-SHA-256"]
SAMMY = "SCRAM-SHA-256,SCRAM-SHA-1"


def parsed(path):
    return parse_users(path.read_text())


def rows(user):
    status, out, errors = user("list")
    assert (status, errors) == (0, "")
    return [line.split(maxsplit=4) for line in out.splitlines()]


def test_a_line_for_each_mechanism(user, users):
    user("add", "sammy", *ALL, "--mechanism", "SCRAM-SHA-1", password="x")
    assert [(name, verifier.mechanism) for name, verifier in parsed(users).lines()] == [
        ("sammy", "SCRAM-SHA-1"),
        ("sammy", "SCRAM-SHA-256"),
    ]
    assert all(verifier.matches("x") for _, verifier in parsed(users).lines())


def test_a_mechanism_that_there_is_not(user, users):
    status, _, errors = user("add", "sammy", "--mechanism", "CRAM-MD5", password="x")
    assert status == 2
    assert "CRAM-MD5" in errors
    assert not users.exists()


def test_passwd_keeps_the_mechanisms_unless_told(user, users):
    user("add", "sammy", *ALL, password="one")
    user("passwd", "sammy", password="two")
    assert set(parsed(users).mechanisms("sammy")) == {"SCRAM-SHA-1", "SCRAM-SHA-256"}
    assert all(verifier.matches("two") for _, verifier in parsed(users).lines())
    user("passwd", "sammy", "--mechanism", "SCRAM-SHA-512", password="three")
    assert list(parsed(users).mechanisms("sammy")) == ["SCRAM-SHA-512"]


def test_the_old_password_is_kept_and_dropped(user, users):
    user("add", "olga", password="olga")
    user("add", "sammy", *ALL, password="old")
    users.write_text("# the crew\n" + users.read_text())
    before = users.read_text().splitlines()
    assert user("passwd", "sammy", "--keep-old", password="new") == (
        0,
        f"sammy has a new password in {users}; the old one works until: mcproxy user remove sammy --old\n",
        "",
    )
    for mechanism, (newer, older) in parsed(users).mechanisms("sammy").items():
        assert newer.cost == older.cost == (mechanism, 4096, older.salt)
        assert newer.matches("new")
        assert older.matches("old")
    assert [line for line in users.read_text().splitlines() if line in before] == before
    assert user("remove", "sammy", "--old") == (0, f"removed the older password of sammy from {users}\n", "")
    assert all(
        len(verifiers) == 1 and verifiers[0].matches("new") for verifiers in parsed(users).mechanisms("sammy").values()
    )
    assert users.read_text().startswith("# the crew\n" + before[1])


def test_a_third_password_is_refused(user, users):
    user("add", "sammy", password="one")
    user("passwd", "sammy", "--keep-old", password="two")
    before = users.read_bytes()
    status, _, errors = user("passwd", "sammy", "--keep-old", password="three")
    expected = "mcproxy: sammy has two passwords already; drop the old one first: mcproxy user remove sammy --old\n"
    assert (status, errors) == (1, expected)
    assert users.read_bytes() == before


def test_passwd_alone_replaces_both(user, users):
    user("add", "sammy", password="one")
    user("passwd", "sammy", "--keep-old", password="two")
    user("passwd", "sammy", password="three")
    (verifier,) = parsed(users).password_verifiers("sammy")
    assert verifier.matches("three")


def test_the_same_password_is_no_new_one(user, users):
    user("add", "sammy", password="one")
    before = users.read_bytes()
    status, _, errors = user("passwd", "sammy", "--keep-old", password="one")
    assert (status, errors) == (1, "mcproxy: that is the user's password already; nothing was changed\n")
    assert users.read_bytes() == before


@pytest.mark.parametrize("option", [("--mechanism", "SCRAM-SHA-1"), ("--iterations", "5000")])
def test_what_can_not_change_while_the_old_one_is_kept(user, users, option):
    user("add", "sammy", password="one")
    status, _, errors = user("passwd", "sammy", "--keep-old", *option, password="two")
    assert (status, errors) == (2, f"mcproxy: {option[0]} can't be changed while the old password is kept\n")


def test_there_is_no_older_one_to_remove(user, users):
    user("add", "sammy", password="one")
    status, _, errors = user("remove", "sammy", "--old")
    assert (status, errors) == (1, "mcproxy: sammy has only one password; without --old this removes the user\n")
    assert "sammy" in parsed(users)


def test_list(user, users):
    user("add", "sammy", *ALL, password="old")
    user("add", "jo", "--iterations", "5000", password="x")
    user("passwd", "sammy", "--keep-old", password="new")
    assert rows(user) == [
        ["NAME", "MECHANISMS", "ITERATIONS", "PASSWORD", "LAST USED"],
        ["sammy", SAMMY, "4096", "newer", "unknown"],
        ["sammy", SAMMY, "4096", "older", "unknown"],
        ["jo", "SCRAM-SHA-256", "5000", "only", "unknown"],
    ]


def test_list_of_what_was_used(user, users):
    user("add", "sammy", *ALL, password="old")
    user("passwd", "sammy", "--keep-old", password="new")
    used = int(datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC).timestamp())
    older = parsed(users).verifiers("sammy", "SCRAM-SHA-1")[1]
    write_last_used(users, {"sammy": {secret_name(older.identity): used}}, parsed(users))
    assert [row[4] for row in rows(user)] == ["LAST USED", "never", "2026-03-04 05:06 UTC"]
    status, out, _ = user("list", "--json")
    assert status == 0
    assert json.loads(out) == [
        {
            "name": "sammy",
            "mechanisms": [
                {"mechanism": "SCRAM-SHA-256", "iterations": 4096, "passwords": 2},
                {"mechanism": "SCRAM-SHA-1", "iterations": 4096, "passwords": 2},
            ],
            "passwords": [
                {"password": "newer", "last_used": None},
                {"password": "older", "last_used": "2026-03-04T05:06:07+00:00"},
            ],
        }
    ]


def test_list_with_a_broken_used_file(user, users):
    user("add", "sammy", password="x")
    users.with_name("users.used").write_text("{")
    status, out, errors = user("list")
    assert status == 0
    assert out.endswith("unknown\n")
    assert errors.startswith(f"mcproxy: warning: {users}.used is not what mcproxy has written")


def test_list_of_nobody(user, users):
    users.touch(mode=0o600)
    assert user("list") == (0, "", "")
    assert user("list", "--json") == (0, "[]\n", "")


def test_verify(user):
    user("add", "sammy", *ALL, password="one")
    assert user("verify", "sammy", password="one\n") == (0, "the password is right\n", "")
    wrong = (1, "", "mcproxy: that is not the password of sammy\n")
    for password in ("two", "", "one ", "\x07"):
        assert user("verify", "sammy", password=password) == wrong
    status, out, errors = user("verify", "samy", password="one")
    assert (status, out) == (1, "")
    assert errors.endswith('has no user samy; did you mean "sammy"?\n')


def test_verify_of_two(user):
    user("add", "sammy", *ALL, password="one")
    user("passwd", "sammy", "--keep-old", password="two")
    assert user("verify", "sammy", password="one") == (0, "the password is right (older of two)\n", "")
    assert user("verify", "sammy", password="two") == (0, "the password is right (newer of two)\n", "")


def test_verify_where_the_mechanisms_disagree(user, users):
    lines = [make_verifier("one", 4096), make_verifier("two", 4096, mechanism="SCRAM-SHA-1")]
    users.write_text("\n".join(format_line("sammy", verifier) for verifier in lines))
    status, out, errors = user("verify", "sammy", password="one")
    assert (status, out) == (1, "")
    assert "the mechanisms of sammy have different passwords" in errors
    assert "SCRAM-SHA-1: wrong" in errors


def test_a_key_that_can_not_be_made_is_a_warning(user, users):
    users.with_name("users.key").mkdir()
    status, out, errors = user("add", "sammy", password="x")
    assert (status, out) == (0, f"added sammy to {users}\n")
    assert errors == f"mcproxy: warning: {users}.key is not a regular file\n"
