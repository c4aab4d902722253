"""SCRAM towards an upstream that lies: it is never trusted without its signature, and never makes us work for long."""

import base64
import re

import pytest

from mcproxy.auth.upstream.errors import LoginRefused, UpstreamConfused
from mcproxy.auth.upstream.scram import MAXIMUM_ITERATIONS
from tests.unit.auth.scram_peer import BINDING
from tests.unit.auth.scram_peer import begin as server

from .playing import SECRET, begin, ends, fails, reply, sent_data, step_reply

SALT = base64.b64encode(bytes(16))
TOO_SOON = "it accepts a login that is not complete"
UNPROVED = "it can't prove that it knows the password: its signature is wrong"


def proved(name="SCRAM-SHA-256", header=b"n,,"):
    """A login whose proof the server has taken, and the server's signature, right."""
    peer = server(name, SECRET)
    login = begin(name, binding=BINDING)
    first = sent_data(login.start())
    assert first.startswith(header + b"n=sammy,r=")
    challenge = peer.start(first)
    final = sent_data(login.receive(reply(0x21, challenge.data)))
    assert peer.step(final).secret is not None
    return login, peer.accepted().data


@pytest.mark.parametrize("name", ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("plus", [False, True])
def test_the_signature_in_a_challenge(name, plus):
    login, signature = proved(*(f"{name}-PLUS", b"p=tls-server-end-point,,") if plus else (name, b"n,,"))
    last = login.receive(step_reply(0x21, signature))
    assert (last[1], sent_data(last)) == (0x22, b"")
    assert not login.done
    login.receive(step_reply(0, b"Authenticated", 3))
    assert login.done


def test_the_signature_with_the_yes():
    login, signature = proved()
    assert login.receive(step_reply(0, signature)) == b""
    assert login.done


def test_an_extension_behind_the_signature():
    login, signature = proved()
    login.receive(step_reply(0, signature + b",x=more"))
    assert login.done


@pytest.mark.parametrize("status", [0, 0x21])
def test_a_wrong_signature(status):
    login, signature = proved()
    digest = bytearray(base64.b64decode(signature[2:]))
    digest[-1] ^= 1
    assert ends(login, step_reply(status, b"v=" + base64.b64encode(digest))) == UNPROVED


@pytest.mark.parametrize("status", [0, 0x21])
@pytest.mark.parametrize("cut", [2, 6, 10])
def test_a_part_of_the_signature(status, cut):
    login, signature = proved()
    ends(login, step_reply(status, signature[:cut]))


@pytest.mark.parametrize(
    "body", [b"", b"Authenticated", b"v=", b"v", b"x=1", b"v=AAAA,v=AAAA", b"v=!", b"\xff", b"v=A\0"]
)
def test_a_yes_without_a_signature(body):
    login, _ = proved()
    assert ends(login, step_reply(0, body)) in (TOO_SOON, UNPROVED)


def test_a_yes_too_soon():
    assert fails(begin("SCRAM-SHA-256"), reply(0, b"Authenticated")) == TOO_SOON
    assert fails(begin("SCRAM-SHA-256"), reply(0, b"v=" + SALT)) == TOO_SOON
    assert fails(begin("SCRAM-SHA-256", "text"), b"SASL_MECH SCRAM-SHA-256\r\n", b"SASL_OK\r\n") == TOO_SOON


def test_no_end():
    login, signature = proved()
    login.receive(step_reply(0x21, signature))
    assert ends(login, step_reply(0x21, b"", 3)) == "it asks for more than this login has"


def test_refused_after_all():
    login, signature = proved()
    login.receive(step_reply(0x21, signature))
    with pytest.raises(LoginRefused):
        login.receive(step_reply(0x20, b"Auth failure.", 3))
    for status in (0, 0x21):
        login, _ = proved()
        assert ends(login, step_reply(status, b"e=invalid-proof")) == "it refuses the user or the password"
    assert fails(begin("SCRAM-SHA-256"), reply(0x21, b"e=unknown-user")) == "it refuses the user or the password"


def server_first(login, salt=SALT, iterations=b"4096", nonce=b"NONCE+", before=b"", behind=b""):
    """Begins the login, and answers; NONCE stands for ours."""
    ours = sent_data(login.start()).rpartition(b"r=")[2]
    message = b"%sr=%s,s=%s,i=%s%s" % (before, nonce.replace(b"NONCE", ours), salt, iterations, behind)
    return reply(0x21, message)


def test_the_fewest_iterations():
    login = begin("SCRAM-SHA-256")
    assert sent_data(login.receive(server_first(login))).startswith(b"c=biws,r=")


@pytest.mark.parametrize("count", [b"1", b"4095", b"%d" % (MAXIMUM_ITERATIONS + 1), b"9999999"])
def test_iterations_out_of_bounds(count):
    login = begin("SCRAM-SHA-256")
    assert ends(login, server_first(login, iterations=count)) == "its iterations are not from 4096 to 1000000"


@pytest.mark.parametrize(
    "count", [b"0", b"", b"-1", b"+5000", b"04096", b"5e3", b"4096.0", b"1000000000", b"9" * 1000, "٤٠٩٦".encode()]
)
def test_iterations_that_are_none(count):
    login = begin("SCRAM-SHA-256")
    assert ends(login, server_first(login, iterations=count)) == "its first message is not one of SCRAM"


@pytest.mark.parametrize("nonce", [b"other", b"NONCE", b"+NONCE", b"", b"NONCE\0", b"NONCE\x7f", b"NONCE" + b"x" * 600])
def test_another_s_nonce(nonce):
    login = begin("SCRAM-SHA-256")
    assert ends(login, server_first(login, nonce=nonce)) in (
        "its first message has another's nonce, or a salt of less than 12 bytes",
        "its first message is not one of SCRAM",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"salt": b""},
        {"salt": b"AAAA"},
        {"salt": b"AAA"},
        {"salt": b"!" * 16},
        {"before": b"m=x,"},
        {"before": b"x=1,"},
        {"behind": b",m=x"},
        {"behind": b",i=5000"},
        {"behind": b",x"},
        {"behind": b",x="},
        {"behind": b",x=1,x=2"},
        {"behind": b","},
        {"behind": b"\0"},
    ],
    ids=str,
)
def test_first_messages_that_are_none(wrong):
    login = begin("SCRAM-SHA-256")
    ends(login, server_first(login, **wrong))


def test_unknown_extensions_are_ignored():
    """RFC 5802 section 5.1."""
    login = begin("SCRAM-SHA-256")
    assert login.receive(server_first(login, behind=b",x=1,Y=2"))


def test_each_exchange_has_a_nonce_of_its_own():
    nonces = {re.search(rb"r=(.+)", sent_data(begin("SCRAM-SHA-256").start()))[1] for _ in range(50)}
    assert len(nonces) == 50
    assert min(map(len, nonces)) >= 32


def test_huge_messages():
    login = begin("SCRAM-SHA-256")
    with pytest.raises(UpstreamConfused):
        login.receive(server_first(login, behind=b",x=" + b"y" * 4096))
    login = begin("SCRAM-SHA-256")
    assert login.receive(server_first(login, behind=b",x=" + b"y" * 1800))


def test_names_are_escaped():
    assert sent_data(begin("SCRAM-SHA-256", user="a,b=c").start()).startswith(b"n,,n=a=2Cb=3Dc,r=")
