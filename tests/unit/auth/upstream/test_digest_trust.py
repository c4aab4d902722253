"""DIGEST-MD5, held against RFC 2831's formulas written down here once more, and towards an upstream that lies."""

import hashlib
import re

import pytest

from .playing import SECRET, begin, ends, fails, reply, sent_data, step_reply

CHALLENGE = b'nonce="abc+/=",realm="elwood",qop="auth",charset=utf-8,algorithm=md5-sess'
NO_CHALLENGE = "its challenge is not one of DIGEST-MD5"
TOO_SOON = "it accepts a login that is not complete"
UNPROVED = "it can't prove that it knows the password: its response-auth is wrong"


def md5(text):
    return hashlib.md5(text).digest()


def computed(fields, realm, user, password, method):
    """RFC 2831 section 2.1.2.1: `response` with the method AUTHENTICATE, `rspauth` with none."""
    nonce, cnonce, uri = (fields[name].strip(b'"') for name in (b"nonce", b"cnonce", b"digest-uri"))
    first = md5(b":".join((user, realm, password))) + b":" + nonce + b":" + cnonce
    second = method + b":" + uri
    parts = (md5(first).hex().encode(), nonce, fields[b"nc"], cnonce, fields[b"qop"], md5(second).hex().encode())
    return md5(b":".join(parts)).hex().encode()


def proved(challenge=CHALLENGE, realm=b"elwood", user="sammy", password=SECRET):
    """A login that has answered, its fields, and upstream's proof, right."""
    login = begin("DIGEST-MD5", user=user, password=password)
    assert sent_data(login.start()) == b""
    response = sent_data(login.receive(reply(0x21, challenge)))
    fields = dict(re.findall(rb'([a-z-]+)=("(?:[^"\\]|\\.)*"|[^,]*)', response))
    name = user.encode()
    assert fields[b"response"] == computed(fields, realm, name, password.encode(), b"AUTHENTICATE")
    return login, fields, b"rspauth=" + computed(fields, realm, name, password.encode(), b"")


def test_the_response():
    _, fields, _ = proved()
    assert (fields[b"username"], fields[b"realm"], fields[b"nonce"]) == (b'"sammy"', b'"elwood"', b'"abc+/="')
    assert (fields[b"qop"], fields[b"nc"]) == (b"auth", b"00000001")
    assert fields[b"digest-uri"] == b'"memcached/elwood"'
    assert len({proved()[1][b"cnonce"] for _ in range(50)}) == 50
    assert len(fields[b"cnonce"]) >= 32


@pytest.mark.parametrize(("user", "password"), [("josé", "contraseña"), ("spaces", "two words"), ("a", "x" * 512)])
def test_names_and_passwords(user, password):
    proved(user=user, password=password)


@pytest.mark.parametrize(
    ("challenge", "realm"),
    [
        (b'nonce="a",algorithm=md5-sess', b""),
        (b'realm="two words", nonce="a", qop="auth-conf,auth, auth-int", algorithm=md5-sess', b"two words"),
        (b'realm=bare,nonce="a",algorithm="md5-sess",maxbuf=65536,stale=true,future="thing"', b"bare"),
    ],
)
def test_challenges(challenge, realm):
    proved(challenge, realm)


def test_the_proof_in_a_challenge():
    login, _, proof = proved()
    last = login.receive(step_reply(0x21, proof))
    assert (last[1], sent_data(last)) == (0x22, b"")
    assert not login.done
    login.receive(step_reply(0, b"Authenticated", 3))
    assert login.done


def test_the_proof_with_the_yes():
    login, _, proof = proved()
    login.receive(step_reply(0, proof))
    assert login.done


@pytest.mark.parametrize("status", [0, 0x21])
def test_a_wrong_proof(status):
    login, fields, proof = proved()
    assert ends(login, step_reply(status, b"rspauth=" + b"0" * 32)) == UNPROVED
    login, fields, proof = proved()
    # Our own response sent back to us proves nothing.
    assert ends(login, step_reply(status, b"rspauth=" + fields[b"response"])) == UNPROVED
    login, _, _ = proved()
    assert ends(login, step_reply(status, proof)) == UNPROVED, "that of another exchange"


@pytest.mark.parametrize("status", [0, 0x21])
@pytest.mark.parametrize("body", [b"", b"Authenticated", b"rspauth=", b"rspauth", CHALLENGE, b"RSPAUTH=" + b"0" * 32])
def test_a_yes_without_a_proof(status, body):
    login, _, _ = proved()
    assert ends(login, step_reply(status, body)) == TOO_SOON


def test_a_yes_too_soon():
    assert fails(begin("DIGEST-MD5"), reply(0, b"Authenticated")) == TOO_SOON
    assert fails(begin("DIGEST-MD5"), reply(0, b"rspauth=" + b"0" * 32)) == TOO_SOON


def test_no_end():
    login, _, proof = proved()
    login.receive(step_reply(0x21, proof))
    assert ends(login, step_reply(0x21, proof, 3)) == "it asks for more than this login has"


@pytest.mark.parametrize(
    "challenge",
    [
        b"",
        b"nonsense",
        b"rspauth=" + b"0" * 32,
        CHALLENGE + b",rspauth=" + b"0" * 32,
        CHALLENGE + b',nonce="other"',
        CHALLENGE + b',realm="other"',
        CHALLENGE + b",algorithm=md5-sess",
        CHALLENGE + b",",
        CHALLENGE + b",,x=1",
        CHALLENGE + b" ",
        CHALLENGE + b",maxbuf=x",
        CHALLENGE + b",maxbuf=" + b"9" * 500,
        CHALLENGE + b',x="open',
        CHALLENGE + b',x="a"b',
        CHALLENGE + b',x="\0"',
        CHALLENGE.replace(b'nonce="abc+/=",', b""),
        CHALLENGE.replace(b"abc+/=", b""),
        b"\xff" * 100,
        b'"' * 2048,
        b"," * 2048,
        b"a=" * 1024,
    ],
    ids=lambda challenge: challenge[-20:].hex(),
)
def test_what_is_no_challenge(challenge):
    assert fails(begin("DIGEST-MD5"), reply(0x21, challenge)) == NO_CHALLENGE


def test_other_algorithms():
    words = "its challenge is for another algorithm than md5-sess"
    assert fails(begin("DIGEST-MD5"), reply(0x21, CHALLENGE.replace(b"md5-sess", b"md5"))) == words
    assert fails(begin("DIGEST-MD5"), reply(0x21, b'nonce="a"')) == words


def test_no_protection_but_of_the_login():
    words = "it wants more protected than the login, which is for TLS to do"
    for wanted in (b"auth-conf", b"auth-int,auth-conf", b""):
        assert fails(begin("DIGEST-MD5"), reply(0x21, CHALLENGE.replace(b'"auth"', b'"%s"' % wanted))) == words
