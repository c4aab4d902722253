"""What no login can be made of, and that nothing shows a secret."""

import pytest

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.errors import LoginRefused
from mcproxy.auth.upstream.fitness import MECHANISMS
from mcproxy.auth.upstream.login import credentials_problem, upstream_login

PASSWORDS = [name for name in MECHANISMS if name != "EXTERNAL"]
BINDING = bytes(32)


def problem(mechanism, user="sammy", password="secret", protocol=None):
    """The sentence; a login with these is refused with the same."""
    protocol = protocol or ("text" if mechanism is None else "binary")
    credentials = Credentials(mechanism, user, password)
    found = credentials_problem(protocol, credentials)
    if found is None:
        upstream_login(protocol, credentials, BINDING)
    else:
        with pytest.raises(LoginRefused) as refused:
            upstream_login(protocol, credentials, BINDING)
        assert str(refused.value) == found
        assert refused.value.__context__ is None
    return found


@pytest.mark.parametrize("mechanism", [None, *MECHANISMS])
def test_fit(mechanism):
    assert problem(mechanism) is None


@pytest.mark.parametrize("mechanism", [None, *PASSWORDS])
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("a\0b", "holds a control character"),
        ("a\r\nflush_all\r\n", "holds a control character"),
        ("a\x7f", "holds a control character"),
        ("a\x9b31m", "holds a control character"),
        ("a\ud800", "is not valid UTF-8"),
    ],
)
def test_unfit(mechanism, text, words):
    assert problem(mechanism, password=text) == f"the password to log in with {words}"
    assert problem(mechanism, user=text) == f"the user name to log in with {words}"


@pytest.mark.parametrize("mechanism", [None, *PASSWORDS])
def test_lengths(mechanism):
    assert problem(mechanism, user="a" * 128, password="b" * 512) is None
    assert problem(mechanism, user="a" * 129) == "the user name to log in with is longer than 128 bytes"
    assert problem(mechanism, password="é" * 257) == "the password to log in with is longer than 512 bytes"


def test_what_saslprep_refuses():
    """Emoji are unassigned code points in Unicode 3.2. SCRAM prepares, the others send what is written."""
    words = "the password to log in with is refused by SASLprep (RFC 4013)"
    assert problem("SCRAM-SHA-256", password="\U0001f511") == words
    assert problem("PLAIN", password="\U0001f511") is None
    assert problem(None, password="\U0001f511") is None


def test_what_saslprep_makes_of_a_password():
    """The soft hyphen goes, and a ligature is two letters (RFC 4013 section 3)."""
    login = upstream_login("binary", Credentials("SCRAM-SHA-256", "I\u00adX\ufb01", "x"))
    assert b"n,,n=IXfi,r=" in login.start()
    login = upstream_login("binary", Credentials("PLAIN", "IX\ufb01", "x"))
    assert "IX\ufb01".encode() in login.start()


@pytest.mark.parametrize("mechanism", [None, "PLAIN", "CRAM-MD5", "DIGEST-MD5"])
@pytest.mark.parametrize("unseen", ["\u202e", "\u00ad", "\u200b", "\u2028"])
def test_a_name_that_looks_like_another(mechanism, unseen):
    assert "holds a character that isn't seen" in problem(mechanism, user=f"sam{unseen}my")
    assert problem(mechanism, password=f"sec{unseen}ret") is None


def test_tokens_are_of_the_text_protocol():
    assert problem(None, protocol="binary") == "the token login is one of the text protocol"


def test_a_token_s_name_ends_at_a_space():
    assert problem(None, user="two words") == "the user name to log in with holds a space, which ends it in a token"
    assert problem(None, password="two words") is None


def test_unknown_mechanisms():
    for name in ("", "ANONYMOUS", "GSSAPI", "plain", "SCRAM-SHA3-512", "SCRAM-"):
        assert problem(name) == "no such SASL mechanism is known"
    with pytest.raises(ValueError):
        upstream_login("same", Credentials("PLAIN", "a", "b"))


def test_a_machine_without_md5(monkeypatch):
    def switched_off(*_):
        raise ValueError("unsupported")

    monkeypatch.setattr("hashlib.md5", switched_off)
    for name in ("CRAM-MD5", "DIGEST-MD5"):
        assert problem(name) == "MD5, which the mechanism to log in with needs, is switched off on this machine"
    assert problem("PLAIN") is None


def test_credentials_do_not_show_the_password():
    assert "secret" not in repr(Credentials("PLAIN", "sammy", "secret"))
