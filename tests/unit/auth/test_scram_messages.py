"""Messages of SCRAM that nobody should send: each is refused, and ends the exchange (case 37)."""

import pytest

from mcproxy.auth.mechanisms import Challenge, Failure
from mcproxy.auth.steps import Proof

from .scram_peer import BINDING, PLUS, begin, c, prove

LONGEST = 256


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=sammy",
        b"n,,n=sammy,r=",
        b"n,,n=,r=x",
        b"n,,r=x,n=sammy",
        b"n,n=sammy,r=x",
        b"N,,n=sammy,r=x",
        b"x,,n=sammy,r=x",
        b"z=,,n=sammy,r=x",
        b"p=,,n=sammy,r=x",
        b",,n=sammy,r=x",
        b"n,,n=sammy,r=x,",
        b"n,,n=sammy,r=x,r=x",
        b"n,,n=sammy,n=sammy,r=x",
        b"n,,n=sammy,r=x,n=sammy",
        b"n,,n=sammy,r=x,y=1,y=2",
        b"n,,n=sammy,r=x,m=1",
        b"n,,m=1,n=sammy,r=x",
        b"n,a=sammy,m=1,n=sammy,r=x",
        b"n,,n=sammy,r=x,p=x",
        b"n,,n=sammy,r=x,1=x",
        b"n,,n=sammy,r=x,y=",
        b"n,,n=sammy,r=x y",
        b"n,,n=sammy,r=x\x7f",
        b"n,,n=sammy,r=\xc3\xa9",
        b"n,,n=sammy,r=x\n",
        b"n,,n=sam\x00my,r=x",
        b"n,,n=sam=my,r=x",
        b"n,,n=sam=2cmy,r=x",
        b"n,,n=\xff,r=x",
        b"n,a=root,n=sammy,r=x",
        b"n,a=,n=sammy,r=x",
        b"n,a=\xff,n=sammy,r=x",
        b"n,,n=sammy,r=" + b"x" * (LONGEST + 1),
        b"n,,n=sammy,r=" + b"x" * 65536,
        b"n,,n=" + b"s" * 2048 + b",r=x",
    ],
)
def test_a_first_message_that_is_refused(message):
    scram = begin()
    outcome = scram.start(message or None)
    outcome = scram.step(message) if not message else outcome
    assert isinstance(outcome, Failure)
    assert "sammy" not in outcome.reason
    assert isinstance(scram.step(b"n,,n=sammy,r=x"), Failure), "the exchange is over"


def test_a_first_message_that_is_not_refused():
    for message in (b"n,,n=sammy,r=" + b"x" * LONGEST, b"y,,n=sammy,r=x", b"n,,n=sammy,r=x,y=1,Y=2"):
        assert isinstance(begin().start(message), Challenge), message


def test_a_proof_by_hand():
    assert prove(b"n,,", b"c=biws,r=NONCE").secret
    assert prove(b"n,a=sammy,", c(b"n,a=sammy,") + b",r=NONCE").secret
    assert prove(b"y,,", c(b"y,,") + b",r=NONCE,t=ignored,u=signed").secret
    bound = b"p=tls-server-end-point,,"
    assert prove(bound, c(bound + BINDING) + b",r=NONCE", PLUS).secret


@pytest.mark.parametrize(
    "final",
    [
        b"c=biws,r=abc",
        b"c=biws,r=NONCEx",
        b"c=biws,r=xNONCE",
        b"c=biws,r=nonce",
        b"c=biws,r=",
        b"c=eSws,r=NONCE",
        b"c=biwt,r=NONCE",
        b"c=,r=NONCE",
        b"c=biws=,r=NONCE",
        b"c=bi ws,r=NONCE",
        b"r=NONCE,c=biws",
        b"r=NONCE",
        b"c=biws,c=biws,r=NONCE",
        b"c=biws,r=NONCE,r=NONCE",
        b"c=biws,m=1,r=NONCE",
        b"c=biws,r=NONCE,m=1",
        b"c=biws,r=NONCE,y=1,y=1",
        b"c=biws,r=NONCE,p=AAAA",
        b"m=1,c=biws,r=NONCE",
        b"c=biws,r=NONCE,",
        c(b"n,," + BINDING) + b",r=NONCE",
        b"c=biws,r=NONCE,y=" + b"x" * 65536,
    ],
)
def test_a_final_message_that_is_refused_though_its_proof_is_right(final):
    assert isinstance(prove(b"n,,", final), Failure)


@pytest.mark.parametrize("proof", [b"", b"AAAA", b"A" * 43 + b"=", b"!" * 44, b"=" * 44, b"A" * 42 + b"B="])
def test_a_proof_that_is_none(proof):
    scram = begin(make_nonce=lambda: "123")
    scram.start(b"n,,n=sammy,r=abc")
    outcome = scram.step(b"c=biws,r=abc123,p=" + proof)
    right_length = proof == b"A" * 43 + b"="
    assert outcome == Proof("sammy", "SCRAM-SHA-256", None) if right_length else isinstance(outcome, Failure)
