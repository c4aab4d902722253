"""Verifiers, against the RFCs' own exchanges and against scramp, which computes them independently."""

import hashlib
import hmac
from base64 import b64decode

import pytest
from scramp import ScramMechanism

from mcproxy.auth.verifiers import (
    DEFAULT_ITERATIONS,
    HASHES,
    PasswordError,
    Verifier,
    make_verifier,
    mock_verifier,
)

FEW = 4096


def test_the_exchange_of_rfc_7677():
    verifier = make_verifier("pencil", FEW, b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
    nonce = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    message = (f"n=user,r=rOprNGfwEbeRWgbNEkqO,r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r={nonce}").encode()
    assert hmac.digest(verifier.server_key, message, "sha256") == b64decode(
        "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    )
    proof = b64decode("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    signature = hmac.digest(verifier.stored_key, message, "sha256")
    client_key = bytes(a ^ b for a, b in zip(proof, signature, strict=True))
    assert hashlib.sha256(client_key).digest() == verifier.stored_key


@pytest.mark.parametrize("mechanism", list(HASHES))
def test_scramp_computes_the_same(mechanism):
    salt = bytes(range(16))
    verifier = make_verifier("I\u00adX pa\u00dfword", FEW, salt, mechanism)
    other_salt, stored_key, server_key, iterations = ScramMechanism(mechanism).make_auth_info(
        "I\u00adX pa\u00dfword", FEW, salt
    )
    assert (verifier.salt, verifier.iterations) == (bytes(other_salt), int(iterations))
    assert (verifier.stored_key, verifier.server_key) == (bytes(stored_key), bytes(server_key))


@pytest.mark.parametrize("mechanism", list(HASHES))
def test_only_the_password_matches(mechanism):
    verifier = make_verifier("secret", FEW, mechanism=mechanism)
    assert verifier.matches("secret")
    assert verifier.matches("sec\u00adret"), "SASLprep takes soft hyphens away"
    for wrong in ["", "Secret", "secret ", "secre", "secret\0", "\x07", "\ud800", "\U0001f600"]:
        assert not verifier.matches(wrong)


def test_the_defaults():
    one, other = make_verifier("secret"), make_verifier("secret")
    assert one.mechanism == "SCRAM-SHA-256"
    assert one.iterations == DEFAULT_ITERATIONS == 32_768
    assert len(one.salt) == 16
    assert one.salt != other.salt
    assert one.identity != other.identity


@pytest.mark.parametrize(
    ("password", "said"),
    [("", "empty"), ("x" * 513, "512 bytes"), ("a\x07b", "control"), ("\u00ad", "nothing"), ("\ud800", "surrogate")],
)
def test_passwords_that_no_verifier_is_made_of(password, said):
    with pytest.raises(PasswordError, match=said) as caught:
        make_verifier(password, FEW)
    assert password == "" or password not in str(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mechanism": "SCRAM-MD5"}, "mechanism"),
        ({"iterations": 4095}, "iteration"),
        ({"iterations": 1_000_001}, "iteration"),
        ({"salt": b"1234567"}, "salt"),
        ({"salt": b"x" * 65}, "salt"),
        ({"stored_key": b"x" * 31}, "32 bytes"),
        ({"server_key": b"x" * 33}, "32 bytes"),
    ],
)
def test_bounds(change, said):
    good = {
        "mechanism": "SCRAM-SHA-256",
        "iterations": 4096,
        "salt": b"12345678",
        "stored_key": b"s" * 32,
        "server_key": b"v" * 32,
    }
    Verifier(**good)
    with pytest.raises(ValueError, match=said):
        Verifier(**(good | change))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"iterations": 0}, "iteration"), ({"iterations": 10**7}, "iteration"), ({"mechanism": "MD5"}, "mechanism")],
)
def test_making_one_out_of_bounds_is_refused_before_any_work(arguments, said):
    with pytest.raises(ValueError, match=said):
        make_verifier("secret", **arguments)


def test_keys_do_not_show():
    verifier = make_verifier("secret", FEW, b"saltsaltsalt")
    assert "key" not in repr(verifier)


def test_each_part_is_part_of_the_identity():
    verifier = mock_verifier("sammy", b"key")
    others = [
        Verifier(verifier.mechanism, 5000, verifier.salt, verifier.stored_key, verifier.server_key),
        Verifier(verifier.mechanism, verifier.iterations, b"x" * 16, verifier.stored_key, verifier.server_key),
        Verifier(verifier.mechanism, verifier.iterations, verifier.salt, b"x" * 32, verifier.server_key),
        Verifier(verifier.mechanism, verifier.iterations, verifier.salt, verifier.stored_key, b"x" * 32),
    ]
    assert len({verifier.identity, *(other.identity for other in others)}) == 5


def test_a_stand_in_stays_the_same_and_nobody_else_s():
    stand_in = mock_verifier("nobody", b"key")
    assert stand_in == mock_verifier("nobody", b"key")
    assert stand_in.iterations == DEFAULT_ITERATIONS
    assert len(stand_in.salt) == len(make_verifier("x", FEW).salt)
    salts = {
        stand_in.salt,
        mock_verifier("nobodx", b"key").salt,
        mock_verifier("nobody", b"other").salt,
        mock_verifier("nobody", b"key", "SCRAM-SHA-512").salt,
    }
    assert len(salts) == 4
    assert not mock_verifier("nobody", b"key", iterations=FEW).matches("nobody")
