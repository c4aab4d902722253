"""The users file: what is read comes out as it was written, and every mistake is named without its secret."""

import pytest

from mcproxy.auth.users import UsersFileError, format_line, parse_line, parse_users
from mcproxy.auth.verifiers import make_verifier

SAMMY = make_verifier("secret", 4096, bytes(16))
SAMMY_512 = make_verifier("secret", 8192, bytes(range(20)), "SCRAM-SHA-512")
JOSE = make_verifier("contraseña", 4096, bytes(8))
SALT = "AAAAAAAAAAAAAAAAAAAAAA=="
KEY = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="


def line(name="sammy", mechanism="SCRAM-SHA-256", iterations="4096", salt=SALT, stored=KEY, server=KEY):
    return f"{name}:{mechanism}${iterations}:{salt}${stored}:{server}"


def test_a_whole_file():
    text = "\n".join(
        [
            "# users of the cache",
            format_line("sammy", SAMMY),
            "",
            format_line("josé", JOSE) + "  \r",
            "   ",
            format_line("sammy", SAMMY_512),
            "",
        ]
    )
    users = parse_users(text)
    assert users.names() == ["sammy", "josé"]
    assert len(users) == 2
    assert users.verifiers("sammy", "SCRAM-SHA-256") == (SAMMY,)
    assert users.verifiers("sammy", "SCRAM-SHA-512") == (SAMMY_512,)
    assert users.verifiers("josé", "SCRAM-SHA-512") == ()
    assert users.verifiers("nobody", "SCRAM-SHA-256") == ()
    assert users.password_verifiers("sammy") == (SAMMY,)
    assert users.password_verifiers("nobody") == ()
    assert list(users.mechanisms("sammy").values()) == [(SAMMY,), (SAMMY_512,)]
    assert users.secrets("sammy") == {SAMMY.identity, SAMMY_512.identity}
    assert users.secrets("nobody") == frozenset()
    assert "sammy" in users
    assert "Sammy" not in users
    assert parse_users("\n".join(format_line(*entry) for entry in users.lines())).names() == users.names()


def test_a_user_with_one_other_mechanism_still_has_a_password():
    assert parse_users(format_line("sammy", SAMMY_512)).password_verifiers("sammy") == (SAMMY_512,)


@pytest.mark.parametrize(
    "text", ["", "\n", "# nobody\n", "\ufeff# from an editor\n", "# one\u2028line\x0band\x85no\x1cmore"]
)
def test_nobody(text):
    users = parse_users(text)
    assert users.names() == []
    assert len(users) == 0
    (stand_in,) = users.password_verifiers_or_stand_in("sammy")
    assert (stand_in.mechanism, stand_in.iterations, len(stand_in.salt)) == ("SCRAM-SHA-256", 32_768, 16)


@pytest.mark.parametrize("name", ["sammy", "josé", "x" * 128, "a$b", "a/b=c"])
@pytest.mark.parametrize("verifier", [SAMMY, SAMMY_512, JOSE])
def test_round_trip(name, verifier):
    assert parse_line(format_line(name, verifier)) == (name, verifier)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("hunter2", "no ':' after the name"),
        ("sammy", "no ':'"),
        ("sammy:hunter2", "passwords are never kept in the clear"),
        ("sammy:{CRYPT}hunter2", "not a verifier"),
        ("sammy:", "not a verifier"),
        (":" + line().partition(":")[2], "empty"),
        (line(name="sam my"), "white space"),
        (line(name="x" * 129), "128 bytes"),
        (line(name="a\x1bb"), "SASLprep"),
        (line(name="e\u0301"), "must be written"),
        (" " + line(), "white space"),
        (line(mechanism="SCRAM-MD5"), "unknown mechanism"),
        (line(mechanism="scram-sha-256"), "unknown mechanism"),
        (line(mechanism="SCRAM-SHA-512"), "64 bytes"),
        (line(iterations="4095"), "iteration count"),
        (line(iterations="1000001"), "iteration count"),
        (line(iterations="99999999999"), "not a verifier"),
        (line(iterations="-4096"), "not a verifier"),
        (line(iterations="\u0664\u0660\u0669\u0666"), "not a verifier"),
        (line(salt="AAAA"), "salt"),
        (line(salt="A" * 88), "salt"),
        (line(salt="AAAAAAAAAAAAAAAAAAAAAB=="), "canonical base64"),
        (line(salt=SALT.rstrip("=")), "canonical base64"),
        (line(stored="AAAA"), "32 bytes"),
        (line(server=KEY[:-4] + "===="), "canonical base64"),
        (line() + ":more", "not a verifier"),
        (line() + " # comment", "not a verifier"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_else_repeated(written, said):
    with pytest.raises(UsersFileError) as caught:
        parse_users("# first\n" + written + "\n")
    (problem,) = caught.value.problems
    assert problem.line == 2
    assert said in problem.message
    assert "hunter2" not in str(caught.value)
    assert KEY not in str(caught.value)
    assert SALT not in str(caught.value)


def test_every_problem_is_named():
    text = "\n".join(["one", line(name="two"), line(name="three", iterations="1"), line(name="two"), "four:x"])
    # The second "two" is the first one again.
    with pytest.raises(UsersFileError) as caught:
        parse_users(text)
    assert [problem.line for problem in caught.value.problems] == [1, 3, 4, 5]
    assert "line 2" in caught.value.problems[2].message
    assert str(caught.value).count("\n") == 3


@pytest.mark.parametrize("name", ["", "a b", "a:b", "#a", "a\nb", "x" * 129])
def test_no_line_is_made_that_could_not_be_read(name):
    with pytest.raises(ValueError, match="name"):
        format_line(name, SAMMY)


def test_what_is_no_users_file_at_all_is_given_up_soon():
    """Millions of lines, each with its problem, would fill memory."""
    with pytest.raises(UsersFileError) as failed:
        parse_users("x\n" * 2_000_000)
    problems = failed.value.problems
    assert [problem.line for problem in problems] == list(range(1, 102))
    assert "not read to its end" in problems[-1].message
