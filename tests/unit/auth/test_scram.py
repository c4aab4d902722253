"""SCRAM's server side against the examples of the RFCs, scramp's client, and messages that nobody should send."""

import base64

import pytest

from mcproxy.auth.mechanisms import Challenge, Failure, Success
from mcproxy.auth.principals import Principal
from mcproxy.auth.scram import Scram, random_nonce
from mcproxy.auth.steps import Proof
from mcproxy.auth.verifiers import HASHES, make_verifier

from .holding import SALTS
from .scram_peer import BINDING, PASSWORD, PLUS, begin, client, exchange, signed, verifiers

EXAMPLES = {
    # RFC 5802 section 5.
    "SCRAM-SHA-1": (
        "QSXCR+Q6sek8bf92",
        b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        "3rfcNHYJY1ZVvWVs7j",
        b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ),
    # RFC 7677 section 3.
    "SCRAM-SHA-256": (
        "W22ZaJ0SNY7soEsUEjb6gQ==",
        b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ),
}


@pytest.mark.parametrize("mechanism", EXAMPLES)
def test_the_examples_of_the_rfcs(mechanism):
    salt, first, nonce, challenge, final, signature = EXAMPLES[mechanism]
    verifier = make_verifier(PASSWORD, 4096, base64.b64decode(salt), mechanism)
    scram = Scram(mechanism, lambda name, asked: [verifier], make_nonce=lambda: nonce)
    assert scram.start(first) == Challenge(challenge)
    assert scram.step(final) == Proof("user", mechanism, verifier.identity)
    assert scram.accepted() == Challenge(signature)
    assert scram.step(b"") == Success(Principal("user", "user"))


@pytest.mark.parametrize("name", [*HASHES, *(f"{base}-PLUS" for base in HASHES)])
def test_scramps_client_logs_in_and_takes_the_signature(name):
    scram, peer = begin(name), client(name)
    proof = exchange(scram, peer)
    assert proof == Proof("sammy", name, verifiers(name.removesuffix("-PLUS"))[0].identity)
    peer.set_server_final(scram.accepted().data.decode())
    assert scram.step(b"") == Success(Principal("user", "sammy"))


@pytest.mark.parametrize(("password", "which"), [("new", 0), ("old", 1), ("neither", None)])
def test_two_live_secrets(password, which):
    scram, peer = begin("SCRAM-SHA-256", "new", "old"), client(password=password)
    known = verifiers("SCRAM-SHA-256", "new", "old")
    proof = exchange(scram, peer)
    assert proof.secret == (None if which is None else known[which].identity)
    if which is not None:
        peer.set_server_final(scram.accepted().data.decode())  # signed with the key of the one that matched


def test_a_wrong_proof_and_an_unknown_user_look_alike():
    wrong = exchange(begin(), client(password="wrong"))
    unknown = exchange(begin(), client(user="nobody"))
    assert (wrong, unknown) == (Proof("sammy", "SCRAM-SHA-256", None), Proof("nobody", "SCRAM-SHA-256", None))


def test_what_was_not_proved_is_never_signed():
    scram = begin()
    exchange(scram, client(password="wrong"))
    assert isinstance(scram.accepted(), Failure)


def test_names_are_prepared_and_unescaped():
    asked = []

    def lookup(name, mechanism):
        asked.append((name, mechanism))
        return verifiers()

    for first in (b"n,,n=jose\xcc\x81,r=x", b"n,a=jos\xc3\xa9,n=jose\xcc\x81,r=x", b"n,,n=a=2Cb=3Dc,r=x"):
        Scram("SCRAM-SHA-256", lookup).start(first)
    assert asked == [("josé", "SCRAM-SHA-256"), ("josé", "SCRAM-SHA-256"), ("a,b=c", "SCRAM-SHA-256")]


def test_without_an_initial_response_it_is_asked_for():
    scram = begin()
    assert scram.start(None) == Challenge(b"")
    assert isinstance(scram.step(b"n,,n=sammy,r=x"), Challenge)


def test_a_final_message_cannot_be_sent_again():
    first = b"n,,n=sammy,r=abc"
    scram = begin()
    challenge = scram.start(first)
    final = signed(first, challenge.data, b"c=biws," + challenge.data.split(b",")[0])
    assert scram.step(final).secret
    assert isinstance(scram.step(final), Failure)
    other = begin()
    other.start(first)
    assert isinstance(other.step(final), Failure), "another exchange has another nonce"


def test_nothing_but_an_empty_step_takes_the_signature():
    scram, peer = begin(), client()
    exchange(scram, peer)
    scram.accepted()
    assert isinstance(scram.step(b"x"), Failure)
    assert isinstance(scram.step(b""), Failure)


def test_messages_out_of_place():
    assert isinstance(begin().accepted(), Failure)
    scram = begin()
    scram.start(b"n,,n=sammy,r=abc")
    assert isinstance(scram.accepted(), Failure)
    scram = begin()
    exchange(scram, client())
    assert isinstance(scram.step(b""), Failure), "before it was accepted"
    assert isinstance(scram.accepted(), Failure), "and not after that either"


def test_misuse_is_an_error():
    with pytest.raises(ValueError, match="channel binding"):
        Scram("SCRAM-SHA-256", lambda *asked: verifiers(), binding=BINDING)
    with pytest.raises(ValueError, match="channel binding"):
        Scram(PLUS, lambda *asked: verifiers())
    differing = [*verifiers(), make_verifier(PASSWORD, 4097, SALTS["SCRAM-SHA-256"])]
    with pytest.raises(ValueError, match="one salt"):
        Scram("SCRAM-SHA-256", lambda *asked: differing).start(b"n,,n=sammy,r=x")
    with pytest.raises(ValueError, match="not enough values"):
        Scram("SCRAM-SHA-256", lambda *asked: []).start(b"n,,n=sammy,r=x")


def test_nonces_differ_and_are_printable():
    nonces = {random_nonce() for _ in range(100)}
    assert len(nonces) == 100
    assert all(len(nonce) == 32 and nonce.isascii() and nonce.isprintable() and "," not in nonce for nonce in nonces)


def test_nothing_of_it_shows_when_printed():
    scram = begin()
    challenge = scram.start(b"n,,n=hunter2,r=abc")
    assert "hunter2" not in repr([scram, challenge, Proof("hunter2", "SCRAM-SHA-256", b"secret")])
    assert "secret=" not in repr(Proof("hunter2", "SCRAM-SHA-256", b"secret"))
