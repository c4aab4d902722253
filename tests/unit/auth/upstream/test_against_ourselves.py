"""Logins to another mcproxy: every mechanism that its side has, in both protocols, however the bytes arrive."""

import pytest

from mcproxy.auth.login_binary import BinaryLogin
from mcproxy.auth.login_text import TextLogin
from mcproxy.auth.principals import Principal
from mcproxy.auth.upstream.errors import LoginRefused, UpstreamConfused
from tests.unit.auth.holding import offer

from .playing import Unanswered, begin, play

BINDING = bytes(range(32))
CERTIFICATE = Principal("certificate", "gateway")
SCRAM = ["SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]
MECHANISMS = ["PLAIN", *SCRAM, *(f"{name}-PLUS" for name in SCRAM)]
SIZES = [1, 7, 1 << 16]


def server(protocol, *names, **more):
    kind = BinaryLogin if protocol == "binary" else TextLogin
    return kind(offer(*names, **more))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("protocol", ["binary", "text"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_logged_in(mechanism, protocol, size):
    login = begin(mechanism, protocol, binding=BINDING)
    assert not login.done
    logged_in = play(login, server(protocol, *MECHANISMS, binding=BINDING), size=size)
    assert (logged_in.name, logged_in.mechanism, logged_in.leftover) == ("sammy", mechanism, b"")


@pytest.mark.parametrize("protocol", ["binary", "text"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(("user", "password"), [("sammy", "wrong"), ("nobody", "secret")])
def test_refused(mechanism, protocol, user, password):
    login = begin(mechanism, protocol, user, password, BINDING)
    with pytest.raises(LoginRefused, match="it refuses the user, the password or the mechanism"):
        play(login, server(protocol, *MECHANISMS, binding=BINDING))
    assert not login.done


@pytest.mark.parametrize("mechanism", ["PLAIN", *SCRAM])
@pytest.mark.parametrize(("user", "password"), [("josé", "contraseña"), ("spaces", "two words")])
def test_names_and_passwords_beyond_ascii(mechanism, user, password):
    logged_in = play(begin(mechanism, "binary", user, password), server("binary", mechanism))
    assert logged_in.name == user


@pytest.mark.parametrize("protocol", ["binary", "text"])
@pytest.mark.parametrize("size", SIZES)
def test_a_certificate(protocol, size):
    login = begin("EXTERNAL", protocol, "", "")
    logged_in = play(login, server(protocol, "EXTERNAL", "PLAIN", certificate=CERTIFICATE), size=size)
    assert (logged_in.name, logged_in.mechanism) == ("gateway", "EXTERNAL")


def test_a_certificate_that_upstream_has_not_seen():
    with pytest.raises(LoginRefused):
        play(begin("EXTERNAL", "binary", "", ""), server("binary", "EXTERNAL", "PLAIN"))
    with pytest.raises(LoginRefused, match="does not offer the SASL mechanism"):
        play(begin("EXTERNAL", "text", "", ""), server("text", "EXTERNAL", "PLAIN"))


@pytest.mark.parametrize("mechanism", [f"{name}-PLUS" for name in SCRAM])
def test_a_channel_that_ends_elsewhere(mechanism):
    login = begin(mechanism, "binary", binding=bytes(32))
    with pytest.raises(LoginRefused):
        play(login, server("binary", *MECHANISMS, binding=BINDING))


@pytest.mark.parametrize("binding", [None, b""])
def test_no_channel_to_bind_to(binding):
    with pytest.raises(LoginRefused, match="its certificate gives no channel binding"):
        begin("SCRAM-SHA-256-PLUS", "binary", binding=binding)


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"])
@pytest.mark.parametrize("protocol", ["binary", "text"])
def test_nothing_weaker_than_what_is_configured(mechanism, protocol):
    with pytest.raises(LoginRefused):
        play(begin(mechanism, protocol, binding=BINDING), server(protocol, "PLAIN"))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("user", "password"), [("sammy", "secret"), ("josé", "contraseña"), ("spaces", "two words")])
def test_the_token(user, password, size):
    logged_in = play(begin(None, "text", user, password), server("text"), size=size)
    assert (logged_in.name, logged_in.mechanism, logged_in.leftover) == (user, "token", b"")
    assert logged_in.token == f"{user} {password}".encode()


def test_a_wrong_token():
    login = begin(None, "text", password="wrong")
    with pytest.raises(LoginRefused, match="it refuses the user or the password"):
        play(login, server("text"))


@pytest.mark.parametrize(("mechanism", "protocol"), [("SCRAM-SHA-256", "binary"), ("SCRAM-SHA-512-PLUS", "text")])
def test_one_bit_on_the_way(mechanism, protocol):
    """Whatever bit of whatever answer is turned over, the login is not done, but where the bit means nothing."""
    lengths = []
    play(begin(mechanism, protocol, binding=BINDING), scram_server(protocol, mechanism), tamper=noted(lengths))
    ignored = 0
    for number, length in enumerate(lengths):
        for position in range(length):
            login = begin(mechanism, protocol, binding=BINDING)
            try:
                play(login, scram_server(protocol, mechanism), tamper=turned(number, position))
            except (LoginRefused, UpstreamConfused, Unanswered):
                assert not login.done
            else:
                last = number == len(lengths) - 1
                # Of a frame: cas, and the words of the yes. Of lines: a list's other names.
                meaningless = (
                    (16 <= position < 24 or (last and position >= 24)) if protocol == "binary" else number == 0
                )
                assert meaningless, (number, position)
                ignored += 1
    assert ignored < sum(lengths) / 3


def scram_server(protocol, mechanism):
    return server(protocol, "PLAIN", mechanism, binding=BINDING)


def noted(lengths):
    def tamper(said):
        lengths.append(len(said))
        return said

    return tamper


def turned(number, position):
    answers = iter(range(100))

    def tamper(said):
        if next(answers) != number:
            return said
        return said[:position] + bytes([said[position] ^ 1]) + said[position + 1 :]

    return tamper


def test_what_goes_up():
    binary = begin("PLAIN", "binary")
    name, message = b"PLAIN", b"\0sammy\0secret"
    header = b"\x80\x21\x00\x05\x00\x00\x00\x00\x00\x00\x00\x12mc\x00\x01" + bytes(8)
    assert binary.start() == header + name + message
    text = begin("PLAIN", "text")
    assert text.start() == b"sasl mech\r\n"
    assert text.receive(b"SASL_MECH SCRAM-SHA-256 plain\r\n") == b"sasl auth PLAIN 13\r\n\0sammy\0secret\r\n"
    token = begin(None, "text")
    assert token.start() == b"version\r\n"
    assert token.receive(b"CLIENT_ERROR unauthenticated\r\n") == b"set mcproxy 0 0 12\r\nsammy secret\r\n"
