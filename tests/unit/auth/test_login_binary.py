"""SASL in the binary protocol: cases 20, 22, 23, 28, 31, 35, 36 and 41, each under every split.

The shapes are those of memcached 1.6.18 with -S (protocol.txt has none of them; measured).
"""

import pytest
from puresasl.client import SASLClient

from mcproxy.auth.login_binary import BinaryLogin
from mcproxy.auth.mechanisms import Challenge
from mcproxy.auth.offer import Channel, Offer
from mcproxy.auth.principals import Principal
from mcproxy.auth.steps import Close
from tests.support import packets
from tests.support.packets import AUTH, LIST_MECHS, NOOP, STEP, packet

from .holding import hold, lookup, offer

OPAQUE = 0xDEADBEEF
DONE = (0, b"Authenticated")
FAILURE = (0x20, b"Auth failure.")
INVALID = (4, b"Invalid arguments")
LISTED = (0, b"PLAIN")
GOOD = b"\0sammy\0secret"


def begin():
    return BinaryLogin(offer("PLAIN"))


def auth(message=GOOD, name=b"PLAIN", **more):
    return packet(AUTH, name, message, opaque=OPAQUE, **more)


def step(message=GOOD, name=b"PLAIN", **more):
    return packet(STEP, name, message, opaque=OPAQUE, **more)


LIST = packet(LIST_MECHS, opaque=OPAQUE)


def shapes(outcome, opcodes=None):
    """Status and body of each reply, once the rest of it is as it must be."""
    answers = []
    for position, reply in enumerate(outcome.replies):
        response, key_length, body_length = packets.read_header(reply[:24])
        assert (response.opaque, response.cas, key_length, response.extras) == (OPAQUE, 0, 0, b"")
        assert len(reply) == 24 + body_length
        assert response.status != 0x81, "some clients take this for 'no login needed'"
        if opcodes is not None:
            assert response.opcode == opcodes[position]
        answers.append((response.status, reply[24:]))
    return answers


def test_a_login_is_answered_and_what_follows_is_left_over():
    outcome = hold(begin, LIST + auth() + packet(NOOP) + b"\x80")
    assert shapes(outcome, [LIST_MECHS, AUTH]) == [LISTED, DONE]
    assert outcome.attempts == [("sammy", "secret", "PLAIN")]
    assert outcome.logged_in.principal == Principal("user", "sammy")
    assert outcome.logged_in.leftover == packet(NOOP) + b"\x80"
    assert outcome.logged_in.token is None
    assert outcome.logged_in.mechanism == "PLAIN"


def test_the_message_of_a_client_library():
    message = SASLClient("localhost", "memcached", "PLAIN", username="sammy", password="secret").process()
    assert hold(begin, auth(message)).logged_in.name == "sammy"


def test_an_authorization_identity_that_is_the_user_again():
    assert hold(begin, auth(b"sammy\0sammy\0secret")).logged_in.name == "sammy"


@pytest.mark.parametrize("name", [b"plain", b"Plain", b"PLAIN"])
def test_mechanism_names_ignore_case(name):
    assert hold(begin, auth(name=name)).logged_in
    assert hold(begin, auth(b"", name=name) + step(name=name.swapcase())).logged_in


def test_without_an_initial_response_it_is_asked_for():
    outcome = hold(begin, auth(b"") + step() + b"rest")
    assert shapes(outcome, [AUTH, STEP]) == [(0x21, b""), DONE]
    assert outcome.logged_in.leftover == b"rest"


def test_an_exchange_may_be_begun_again():
    outcome = hold(begin, auth(b"") + auth(b"") + auth())
    assert shapes(outcome) == [(0x21, b""), (0x21, b""), DONE]


def test_a_wrong_password_leaves_it_open():
    outcome = hold(begin, auth(b"\0sammy\0no") + LIST + auth())
    assert shapes(outcome) == [FAILURE, LISTED, DONE]
    assert outcome.refusals == []


@pytest.mark.parametrize(
    "frames", [auth(b"\0sammy\0no"), auth(b"\0nobody\0x"), auth(b"") + step(b"\0a\0b"), auth(b"?")]
)
@pytest.mark.parametrize("allowed", [1, 3])
def test_one_failure_too_many_closes(frames, allowed):
    outcome = hold(lambda: BinaryLogin(offer("PLAIN"), failures=allowed), frames * (allowed + 1) + auth())
    assert [shape for shape in shapes(outcome) if shape[0] != 0x21] == [FAILURE] * allowed
    assert outcome.end == Close("too many failed logins")


@pytest.mark.parametrize(
    "message",
    [
        b"sammy\0secret",
        b"\0sammy\0secret\0",
        b"\0sammy\0sec\0ret",
        b"root\0sammy\0secret",
        b"\0sammy\0",
        b"\0\0secret",
        b"\0sammy\0\xff",
        b"\xff\0sammy\0secret",
        b"\0sammy\0" + b"x" * 1024,
        b"\0",
    ],
)
@pytest.mark.parametrize("stepwise", [False, True])
def test_bad_messages_are_refused_without_an_attempt(message, stepwise):
    outcome = hold(begin, auth(b"") + step(message) if stepwise else auth(message))
    assert shapes(outcome)[-1] == FAILURE
    assert outcome.attempts == []
    assert outcome.end is None


def test_an_empty_step_is_a_failure():
    assert shapes(hold(begin, auth(b"") + step(b""))) == [(0x21, b""), FAILURE]


def test_a_step_needs_a_beginning():
    assert shapes(hold(begin, step() + auth()), [STEP, AUTH]) == [FAILURE, DONE]
    assert shapes(hold(begin, auth(b"\0sammy\0no") + step())) == [FAILURE, FAILURE]
    assert shapes(hold(begin, auth(b"") + step(b"\0sammy\0no") + step())) == [(0x21, b""), FAILURE, FAILURE]
    assert shapes(hold(begin, auth(b"") + auth(name=b"NONE") + step())) == [(0x21, b""), FAILURE, FAILURE]


def test_a_step_must_name_the_mechanism_that_was_begun():
    outcome = hold(begin, auth(b"") + step(name=b"SCRAM-SHA-256") + step())
    assert shapes(outcome) == [(0x21, b""), FAILURE, FAILURE]
    assert outcome.attempts == []


@pytest.mark.parametrize("name", [b"SCRAM-SHA-256", b"EXTERNAL", b"ANONYMOUS", b"PLAI", b"PLAINX", b"\xff", b"x" * 32])
def test_mechanisms_that_are_not_offered(name):
    outcome = hold(begin, auth(name=name) + step(name=name) + auth())
    assert shapes(outcome) == [FAILURE, FAILURE, DONE]


def test_the_name_of_a_mechanism_has_bounds():
    assert shapes(hold(begin, auth(name=b"x" * 33) + LIST)) == [INVALID, LISTED]
    outcome = hold(begin, auth(name=b"") + LIST)
    assert shapes(outcome) == [INVALID]
    assert outcome.closed


@pytest.mark.parametrize(
    "frame",
    [
        auth(extras=b"1234"),
        step(extras=b"1"),
        auth(key_length=40),
        auth(body_length=2),
        step(key_length=0xFFFF),
        packet(LIST_MECHS, b"x", opaque=OPAQUE),
        packet(LIST_MECHS, b"", b"x", opaque=OPAQUE),
        packet(LIST_MECHS, b"", b"", b"x", opaque=OPAQUE),
        auth(body_length=4097),
        auth(body_length=1 << 20),
        auth(body_length=0x7FFFFFFF),
        auth(body_length=0x80000001),
        auth(body_length=0xFFFFFFFF),
        packet(packets.SET, b"k", b"v", b"\0" * 8, body_length=0xFFFFFFFF, opaque=OPAQUE),
        packet(packets.GET, b"k", key_length=2, opaque=OPAQUE),
    ],
)
def test_malformed_frames_close_by_their_header_alone(frame):
    for sent in (frame[:24], frame + LIST):
        outcome = hold(begin, sent)
        assert shapes(outcome) == [INVALID]
        assert outcome.closed
        assert outcome.attempts == []


def test_the_longest_body():
    outcome = hold(begin, auth(b"x" * 4091) + LIST)
    assert shapes(outcome) == [FAILURE, LISTED]


@pytest.mark.parametrize("opcode", [code for code in range(256) if code not in (LIST_MECHS, AUTH, STEP)])
def test_every_other_opcode_is_refused_and_closes(opcode):
    frame = packets.with_key(opcode, b"k", opaque=OPAQUE)
    for sent in (frame + auth(), frame[:24], packet(opcode, opaque=OPAQUE)):
        outcome = hold(begin, sent)
        assert shapes(outcome, [opcode]) == [FAILURE]
        assert outcome.end == Close("a command before login")


@pytest.mark.parametrize("first", [b"\x81" + auth()[1:], b"get a\r\n", b"\x00" * 24, b"\x16\x03\x01\x02\x00\x01"])
@pytest.mark.parametrize("before", [b"", LIST])
def test_what_is_not_of_the_protocol_closes_without_a_word(first, before):
    outcome = hold(begin, before + first)
    assert shapes(outcome) == ([LISTED] if before else [])
    assert outcome.closed


@pytest.mark.parametrize("frame", [LIST, auth(), auth(b""), step(), packet(NOOP, opaque=OPAQUE)])
def test_without_mechanisms_everything_is_refused(frame):
    outcome = hold(lambda: BinaryLogin(Offer([], Channel(True), lookup)), frame)
    assert shapes(outcome) == [FAILURE]
    assert outcome.closed


@pytest.mark.parametrize("frame", [LIST, auth(b""), auth(name=b"x" * 33), step(), auth(name=b"NONE")])
def test_frames_before_login_are_bounded(frame):
    outcome = hold(begin, frame * 320)
    assert outcome.end == Close("too many frames before login")
    assert 7168 < len(outcome.sent) <= 8192


def test_the_steps_hide_what_they_carry():
    conversation = begin()
    conversation.feed(auth(b"\0sammy\0hunter2"))
    assert "hunter2" not in repr(conversation.next())
    assert "sec" not in repr(Challenge(b"secret"))
