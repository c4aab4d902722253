"""Two secrets of a user while a password is changed, and the stand-ins of those who don't exist."""

import pytest

from mcproxy.auth.users import Users, UsersFileError, format_line, parse_users
from mcproxy.auth.verifiers import HASHES, make_verifier, matching, mock_verifier

FEW = 4096
SALT = bytes(range(16))
OLD = make_verifier("old", FEW, SALT)
NEW = make_verifier("new", FEW, SALT)
THIRD = make_verifier("third", FEW, SALT)
KEY = bytes(32)


def text(*verifiers, name="sammy"):
    return "".join(format_line(name, verifier) + "\n" for verifier in verifiers)


def test_the_first_in_the_file_is_the_newer():
    users = parse_users(text(NEW, OLD))
    assert users.verifiers("sammy", "SCRAM-SHA-256") == (NEW, OLD)
    assert users.password_verifiers("sammy") == (NEW, OLD)
    assert users.secrets("sammy") == {NEW.identity, OLD.identity}
    assert list(users.lines()) == [("sammy", NEW), ("sammy", OLD)]


def test_one_of_the_two_may_stand_anywhere():
    other = make_verifier("x", FEW)
    users = parse_users(text(NEW) + text(other, name="olga") + text(OLD))
    assert users.password_verifiers("sammy") == (NEW, OLD)


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        (text(NEW, OLD, THIRD), 3, "already has two SCRAM-SHA-256 lines, the newer and the older secret"),
        (text(NEW, make_verifier("old", FEW)), 2, "another salt or iteration count"),
        (text(NEW, make_verifier("old", FEW + 1, SALT)), 2, "mcproxy user passwd --keep-old"),
        (text(NEW, NEW), 2, "has the same SCRAM-SHA-256 line twice; keep one of them (see line 1)"),
    ],
)
def test_what_two_lines_must_agree_in(lines, line, said):
    with pytest.raises(UsersFileError) as caught:
        parse_users(lines)
    (problem,) = caught.value.problems
    assert problem.line == line
    assert said in problem.message


def test_users_can_not_be_made_of_three_secrets_either():
    with pytest.raises(ValueError, match="already has two"):
        Users([("sammy", NEW), ("sammy", OLD), ("sammy", THIRD)])


def test_which_of_two_a_password_is():
    assert matching((NEW, OLD), "new") == NEW
    assert matching((NEW, OLD), "old") == OLD
    assert matching((NEW, OLD), "third") is None
    assert matching((NEW, OLD), "\x07") is None


def test_one_hash_serves_both(monkeypatch):
    import hashlib

    hashed = []
    slow = hashlib.pbkdf2_hmac
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", lambda *arguments: hashed.append(arguments) or slow(*arguments))
    assert matching((NEW, OLD), "old") == OLD
    assert len(hashed) == 1


@pytest.mark.parametrize("verifiers", [(), (NEW, make_verifier("old", FEW))])
def test_one_hash_would_not_serve_these(verifiers):
    with pytest.raises(ValueError, match="one hash"):
        matching(verifiers, "new")


@pytest.mark.parametrize("mechanism", list(HASHES))
def test_a_stand_in_stays_the_same_and_no_password_is_its(mechanism):
    users = parse_users(text(NEW), KEY)
    (stand_in,) = users.verifiers_or_stand_in("nobody", mechanism)
    assert stand_in.mechanism == mechanism
    assert parse_users(text(OLD), KEY).verifiers_or_stand_in("nobody", mechanism) == (stand_in,)
    assert parse_users(text(NEW), b"another").verifiers_or_stand_in("nobody", mechanism) != (stand_in,)
    assert matching((stand_in,), "nobody") is None
    assert stand_in.identity not in users.secrets("nobody")


def test_a_known_user_has_his_own_or_a_stand_in_for_what_he_lacks():
    users = parse_users(text(NEW, OLD), KEY)
    assert users.verifiers_or_stand_in("sammy", "SCRAM-SHA-256") == (NEW, OLD)
    assert users.password_verifiers_or_stand_in("sammy") == (NEW, OLD)
    assert users.verifiers_or_stand_in("sammy", "SCRAM-SHA-512") == (mock_verifier("sammy", KEY, "SCRAM-SHA-512"),)


def test_stand_ins_are_made_for_everybody(monkeypatch):
    """The same steps for known and unknown users, or the time would tell."""
    made = []
    users = parse_users(text(NEW), KEY)
    monkeypatch.setattr("mcproxy.auth.users.mock_verifier", lambda name, *rest: made.append(name))
    for name in ("sammy", "nobody"):
        users.verifiers_or_stand_in(name, "SCRAM-SHA-256")
        users.password_verifiers_or_stand_in(name)
    assert made == ["sammy", "sammy", "nobody", "nobody"]


def users_with(*shapes):
    """A user for each mechanism, iteration count and length of salt."""
    lines = [
        (f"user{number}", make_verifier("x", iterations, bytes(salt), mechanism))
        for number, (mechanism, iterations, salt) in enumerate(shapes)
    ]
    return Users(lines, KEY), Users(reversed(lines), KEY)


def test_stand_ins_look_like_most_users():
    most = ("SCRAM-SHA-512", 5000, 24)
    for users in users_with(("SCRAM-SHA-256", 4096, 16), most, most, ("SCRAM-SHA-1", 4096, 64)):
        (stand_in,) = users.password_verifiers_or_stand_in("nobody")
        assert (stand_in.mechanism, stand_in.iterations, len(stand_in.salt)) == most
        (stand_in,) = users.verifiers_or_stand_in("nobody", "SCRAM-SHA-256")
        assert (stand_in.iterations, len(stand_in.salt)) == (4096, 16)
        (stand_in,) = users.verifiers_or_stand_in("nobody", "SCRAM-SHA-1")
        assert len(stand_in.salt) == 64


def test_of_two_equally_common_shapes_it_is_always_the_same():
    one, other = users_with(("SCRAM-SHA-256", 4096, 16), ("SCRAM-SHA-256", 8192, 16))
    assert one.password_verifiers_or_stand_in("nobody") == other.password_verifiers_or_stand_in("nobody")


def test_without_a_key_stand_ins_are_random():
    one, other = parse_users(text(NEW)), parse_users(text(NEW))
    assert one.password_verifiers_or_stand_in("nobody") != other.password_verifiers_or_stand_in("nobody")
    assert one.password_verifiers_or_stand_in("nobody") == one.password_verifiers_or_stand_in("nobody")


def test_who_does_not_look_like_most():
    usual = ("SCRAM-SHA-256", 4096, 16)
    users, _ = users_with(usual, usual, ("SCRAM-SHA-256", 5000, 16), ("SCRAM-SHA-256", 4096, 20))
    assert users.unlike_most() == ["user2", "user3"]
    other_hash, _ = users_with(usual, usual, usual, ("SCRAM-SHA-1", 4096, 16), ("SCRAM-SHA-512", 4096, 16))
    assert other_hash.unlike_most() == ["user3", "user4"], "a password in the clear takes another time to check"
    assert parse_users(text(NEW, OLD)).unlike_most() == []
    assert Users(()).unlike_most() == []
