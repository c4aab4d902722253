"""What is offered on a connection, and EXTERNAL (cases 38 and 41)."""

import pytest

from mcproxy.auth.external import External
from mcproxy.auth.mechanisms import Challenge, Failure, Success
from mcproxy.auth.offer import MECHANISMS, Channel, Offer
from mcproxy.auth.plain import Plain
from mcproxy.auth.principals import Principal
from mcproxy.auth.scram import Scram

from .holding import lookup, offer

WEB = Principal("certificate", "web")
BINDING = b"of the certificate"


@pytest.mark.parametrize(
    ("channel", "offered"),
    [
        (Channel(False), ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
        (Channel(True), ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
        (Channel(False, certificate=WEB), ["EXTERNAL", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
        (Channel(False, b""), ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]),
        (Channel(True, BINDING, WEB), sorted(MECHANISMS)),
    ],
)
def test_what_can_work_is_offered_in_the_configured_order(channel, offered):
    configured = sorted(MECHANISMS)
    for order in (configured, configured[::-1]):
        made = Offer(order, channel, lookup)
        assert made.names == tuple(name for name in order if name in offered)
        assert made.listed.decode().split() == list(made.names)
        for name in MECHANISMS:
            begun = made.begin(name.lower().encode())
            assert (begun is not None) is (name in offered)
            assert begun is None or begun.name == name


def test_each_mechanism_is_what_it_is_called():
    made = Offer(MECHANISMS, Channel(True, BINDING, WEB), lookup)
    kinds = {name: type(made.begin(name.encode())) for name in MECHANISMS}
    assert kinds.pop("PLAIN") is Plain
    assert kinds.pop("EXTERNAL") is External
    assert set(kinds.values()) == {Scram}


def test_only_what_is_configured_is_offered():
    made = Offer(["PLAIN"], Channel(True, BINDING, WEB), lookup)
    assert made.names == ("PLAIN",)
    for name in (b"EXTERNAL", b"SCRAM-SHA-256", b"SCRAM-SHA-256-PLUS", b"ANONYMOUS", b"", b"\xff", b"PLAIN "):
        assert made.begin(name) is None


def test_a_mechanism_that_does_not_exist():
    with pytest.raises(ValueError, match="GSSAPI"):
        Offer(["PLAIN", "GSSAPI"], Channel(True), lookup)


@pytest.mark.parametrize("header", [b"n,,", b"y,,"])
@pytest.mark.parametrize(
    ("configured", "binding", "refused"),
    [
        (["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"], BINDING, True),
        (["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"], None, False),
        # Whatever the hash: who takes the names with -PLUS off the list leaves those with other hashes.
        (["SCRAM-SHA-512-PLUS", "SCRAM-SHA-256"], BINDING, True),
        (["SCRAM-SHA-512-PLUS", "SCRAM-SHA-256"], None, False),
        (["SCRAM-SHA-256"], BINDING, False),
    ],
)
def test_a_list_that_was_changed_on_its_way(header, configured, binding, refused):
    outcome = offer(*configured, binding=binding).begin(b"SCRAM-SHA-256").start(header + b"n=sammy,r=x")
    assert isinstance(outcome, Failure if refused and header == b"y,," else Challenge)


@pytest.mark.parametrize("identity", [b"", b"web"])
def test_external_is_who_the_certificate_says(identity):
    assert External(WEB).step(identity) == Success(WEB)
    assert External(WEB).start(b"web") == Success(WEB)
    assert External(WEB).start(None) == Challenge(b"")


def test_external_prepares_names():
    assert External(Principal("certificate", "josé")).step("jose\u0301".encode()) == Success(
        Principal("certificate", "josé")
    )


@pytest.mark.parametrize("identity", [b"root", b"WEB", b"web\0", b"web ", b"user:web", b"\xff", b"w" * 1025])
def test_external_acts_for_nobody_else(identity):
    assert isinstance(External(WEB).step(identity), Failure)
    assert isinstance(External(WEB).accepted(), Failure)
