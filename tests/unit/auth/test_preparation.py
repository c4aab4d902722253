"""SASLprep, with the examples of RFC 4013 section 3, and the rule for names."""

import pytest

from mcproxy.auth.preparation import PreparationError, login_name, name_problem, prepare


@pytest.mark.parametrize(
    ("given", "prepared"),
    [("I\u00adX", "IX"), ("user", "user"), ("USER", "USER"), ("\u00aa", "a"), ("\u2168", "IX"), ("a\u00a0b", "a b")],
)
def test_the_examples_of_the_rfc(given, prepared):
    assert prepare(given) == prepared


@pytest.mark.parametrize("given", ["\u0007", "\u0627\u0031", "\u00ad", "", "a\x7f", "\ue000", "\ud800", "\U0001f600"])
def test_what_saslprep_refuses(given):
    with pytest.raises(PreparationError) as caught:
        prepare(given)
    assert given == "" or given not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("name", ["sammy", "a", "x" * 128, "josé", "sammy@host", "a#b", "web-1.prod_x", "日本"])
def test_names_that_may_be(name):
    assert name_problem(name) is None
    assert login_name(name) == name


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "empty"),
        ("x" * 129, "128 bytes"),
        ("é" * 65, "128 bytes"),
        ("a:b", "':'"),
        ("#a", "comment"),
        ("a b", "white space"),
        ("a\tb", "white space"),
        ("a\n", "white space"),
        ("a\u2028b", "white space"),
        ("a\u00a0b", "white space"),
        ("a\x00b", "SASLprep"),
        ("a\x1b[31m", "SASLprep"),
        ("a\x7fb", "SASLprep"),
        ("a\x85b", "white space"),
        ("a\u202eb", "SASLprep"),
        ("\ud800", "UTF-8"),
        ("\u2168", "'IX'"),
        ("e\u0301", "'é'"),
    ],
)
def test_names_that_may_not_be(name, said):
    assert said in (name_problem(name) or "")


def test_a_login_finds_the_one_spelling_of_a_name():
    assert login_name("jose\u0301") == "josé"
    assert login_name("\u2168") == "IX"
    assert login_name("a b") is None
    assert login_name("\u0007") is None
