"""The salted password is kept, so that logins that follow cost nothing; and only for what it was made of."""

import hashlib

import pytest

from mcproxy.auth.upstream.credentials import Credentials
from mcproxy.auth.upstream.login import upstream_login
from mcproxy.auth.upstream.salting import SaltedPassword

from .playing import SECRET, ends, reply, sent_data
from .test_scram_trust import server_first

ASKED = ("sha256", b"password", b"salt", 4096)


def test_it_is_hashed_once():
    salted = SaltedPassword()
    first = salted.of(*ASKED)
    assert first == hashlib.pbkdf2_hmac(*ASKED)
    assert salted.of(*ASKED) is first


@pytest.mark.parametrize(
    "other",
    [
        ("sha1", b"password", b"salt", 4096),
        ("sha256", b"passwore", b"salt", 4096),
        ("sha256", b"password", b"sale", 4096),
        ("sha256", b"password", b"salt", 4097),
    ],
)
def test_anything_else_is_hashed_anew(other):
    salted = SaltedPassword()
    first = salted.of(*ASKED)
    assert salted.of(*other) == hashlib.pbkdf2_hmac(*other) != first
    assert salted.of(*ASKED) == first


def test_logins_share_it(monkeypatch):
    """The credentials hold it: those of another user, or a new password, begin anew."""
    hashed = []
    pbkdf2 = hashlib.pbkdf2_hmac
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", lambda *asked: hashed.append(asked) or pbkdf2(*asked))
    credentials = Credentials("SCRAM-SHA-256", "sammy", SECRET)
    finals = []
    for _ in range(3):
        login = upstream_login("binary", credentials)
        finals.append(sent_data(login.receive(server_first(login))))
        ends(login, reply(0x20, opcode=0x22, number=2))
    assert len(hashed) == 1
    assert len(set(finals)) == 3, "each proof is for nonces of its own"
    login = upstream_login("binary", Credentials("SCRAM-SHA-256", "sammy", SECRET))
    login.receive(server_first(login))
    assert len(hashed) == 2
    assert SECRET not in repr(credentials) + repr(credentials.salted)
