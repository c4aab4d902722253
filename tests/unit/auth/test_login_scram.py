"""SCRAM and EXTERNAL as a connection holds them, in both protocols and under every split (cases 31, 32, 37, 38, 41)."""

import base64
from dataclasses import dataclass

import pytest

from mcproxy.auth.login_binary import BinaryLogin
from mcproxy.auth.login_text import TextLogin
from mcproxy.auth.principals import Principal
from mcproxy.auth.steps import Close, Proof
from tests.support import packets
from tests.support.packets import AUTH, GET, LIST_MECHS, NOOP, STEP, packet

from .holding import SERVER_NONCE, hold, lookup, offer
from .scram_peer import signed

NAME = "SCRAM-SHA-256"
FIRST = b"n,,n=sammy,r=abc"
SALT = base64.b64encode(lookup("sammy", NAME)[0].salt)
CHALLENGE = b"r=abc%s,s=%s,i=4096" % (SERVER_NONCE.encode(), SALT)
FINAL = signed(FIRST, CHALLENGE, b"c=biws,r=abc" + SERVER_NONCE.encode(), password="secret")
WRONG = signed(FIRST, CHALLENGE, b"c=biws,r=abc" + SERVER_NONCE.encode(), password="wrong")
IDENTITY = lookup("sammy", NAME)[0].identity
WEB = Principal("certificate", "web")


@dataclass(frozen=True)
class Binary:
    """How the binary protocol says it; status and body of each reply."""

    name: str = "binary"

    def begin(self, *names, **more):
        return lambda: BinaryLogin(offer(*(names or (NAME, "PLAIN")), **more))

    def auth(self, data, name=NAME):
        return packet(AUTH, name.encode(), data)

    def step(self, data, name=NAME):
        return packet(STEP, name.encode(), data)

    mechanisms = packet(LIST_MECHS)
    ok = packets.HEADER.pack(0x81, AUTH, 0, 0, 0, 0, 13, 0, 0) + b"Authenticated"
    failed = packets.HEADER.pack(0x81, AUTH, 0, 0, 0, 0x20, 13, 0, 0) + b"Auth failure."

    def challenge(self, data):
        return packets.HEADER.pack(0x81, AUTH, 0, 0, 0, 0x21, len(data), 0, 0) + data

    def listed(self, names):
        return packets.HEADER.pack(0x81, AUTH, 0, 0, 0, 0, len(names), 0, 0) + names

    def replies(self, outcome):
        """With the opcode of AUTH in each: which one it is, is test_login_binary's."""
        return [reply[:1] + bytes([AUTH]) + reply[2:] for reply in outcome.replies]


@dataclass(frozen=True)
class Text:
    """How arcus-memcached says it."""

    name: str = "text"

    def begin(self, *names, **more):
        return lambda: TextLogin(offer(*(names or (NAME, "PLAIN")), **more))

    def auth(self, data, name=NAME):
        return b"sasl auth %s %d\r\n%s\r\n" % (name.encode(), len(data), data)

    def step(self, data, name=NAME):
        return b"sasl auth %d\r\n%s\r\n" % (len(data), data)

    mechanisms = b"sasl mech\r\n"
    ok = b"SASL_OK\r\n"
    failed = b"AUTH_ERROR\r\n"

    def challenge(self, data):
        return b"SASL_CONTINUE %d\r\n%s\r\n" % (len(data), data)

    def listed(self, names):
        return b"SASL_MECH " + names + b"\r\n"

    def replies(self, outcome):
        return outcome.replies


@pytest.fixture(params=[Binary(), Text()], ids=lambda protocol: protocol.name)
def spoken(request):
    return request.param


def signature(spoken):
    """The server's own message, as it was seen; test_scram holds it against the RFCs and against scramp."""
    outcome = hold(spoken.begin(), spoken.auth(FIRST) + spoken.step(FINAL))
    reply = spoken.replies(outcome)[1]
    data = reply[reply.index(b"v=") :].removesuffix(b"\r\n")
    assert reply == spoken.challenge(data)
    return reply


def test_a_login(spoken):
    sent = spoken.mechanisms + spoken.auth(FIRST) + spoken.step(FINAL) + spoken.step(b"") + b"rest"
    outcome = hold(spoken.begin(), sent)
    names = b"SCRAM-SHA-256 PLAIN"
    expected = [spoken.listed(names), spoken.challenge(CHALLENGE), signature(spoken), spoken.ok]
    assert spoken.replies(outcome) == expected
    assert outcome.proofs == [Proof("sammy", NAME, IDENTITY)]
    assert outcome.logged_in.principal == Principal("user", "sammy")
    assert (outcome.logged_in.mechanism, outcome.logged_in.leftover) == (NAME, b"rest")
    assert outcome.logged_in.token is None


def test_without_an_initial_response(spoken):
    outcome = hold(spoken.begin(), spoken.auth(b"") + spoken.step(FIRST) + spoken.step(FINAL) + spoken.step(b""))
    expected = [spoken.challenge(b""), spoken.challenge(CHALLENGE), signature(spoken), spoken.ok]
    assert spoken.replies(outcome) == expected


def test_a_wrong_proof_and_an_unknown_user_get_the_same_replies(spoken):
    wrong = hold(spoken.begin(), spoken.auth(FIRST) + spoken.step(WRONG) + spoken.step(b""))
    assert spoken.replies(wrong) == [spoken.challenge(CHALLENGE), spoken.failed, spoken.failed]
    assert wrong.proofs == [Proof("sammy", NAME, None)]
    first = FIRST.replace(b"sammy", b"other")
    unknown = hold(spoken.begin(), spoken.auth(first) + spoken.step(WRONG) + spoken.step(b""))
    assert [len(reply) for reply in spoken.replies(unknown)][1:] == [len(spoken.failed)] * 2
    assert spoken.replies(unknown)[0].replace(SALT, b"") != spoken.challenge(CHALLENGE)  # a salt of its own
    assert unknown.proofs == [Proof("other", NAME, None)]


def test_a_wrong_proof_can_be_followed_by_a_right_one(spoken):
    wrong = spoken.auth(FIRST) + spoken.step(WRONG)
    right = spoken.auth(FIRST) + spoken.step(FINAL) + spoken.step(b"")
    assert hold(spoken.begin(), wrong + right).logged_in.name == "sammy"
    assert hold(spoken.begin(), wrong * 3 + right).end == Close("too many failed logins")


@pytest.mark.parametrize("message", [FINAL, b"x"])
def test_only_an_empty_step_ends_it(spoken, message):
    outcome = hold(spoken.begin(), spoken.auth(FIRST) + spoken.step(FINAL) + spoken.step(message) + spoken.step(b""))
    assert spoken.replies(outcome)[2:] == [spoken.failed] * 2
    assert outcome.end is None


@pytest.mark.parametrize("frame", [packet(NOOP), packet(GET, b"app:a"), packet(packets.VERSION)])
def test_a_command_before_the_last_empty_step(frame):
    spoken = Binary()
    outcome = hold(spoken.begin(), spoken.auth(FIRST) + spoken.step(FINAL) + frame + spoken.step(b""))
    assert spoken.replies(outcome)[2:] == [spoken.failed]
    assert outcome.end == Close("a command before login")


@pytest.mark.parametrize("frame", [b"mn\r\n", b"get app:a\r\n", b"version\r\n", b"add k 0 0 1\r\nx\r\n"])
def test_a_line_before_the_last_empty_step(frame):
    spoken = Text()
    outcome = hold(spoken.begin(), spoken.auth(FIRST) + spoken.step(FINAL) + frame)
    assert outcome.replies[2:] == [b"CLIENT_ERROR unauthenticated\r\n"]
    assert outcome.end is None


def test_another_exchange_forgets_what_the_first_proved(spoken):
    """SCRAM as sammy up to the signature, then something else: sammy is not logged in by it."""
    proved = spoken.auth(FIRST) + spoken.step(FINAL)
    for other in (spoken.auth(b"\0sammy\0wrong", "PLAIN"), spoken.auth(b"", "PLAIN"), spoken.auth(b"x", "NONE")):
        outcome = hold(spoken.begin(), proved + other + spoken.step(b""))
        assert spoken.replies(outcome)[-1] == spoken.failed
        assert outcome.end is None
    outcome = hold(spoken.begin(NAME, "EXTERNAL", certificate=WEB), proved + spoken.auth(b"web", "EXTERNAL"))
    assert outcome.logged_in.principal == WEB


@pytest.mark.parametrize(
    "message", [b"n,,n=sammy,r=" + b"x" * 3000, b"n,,n=sammy,r=x,m=1", b"p=tls-unique,,n=sammy,r=x", b"\xff"]
)
def test_messages_that_are_refused(spoken, message):
    outcome = hold(spoken.begin(), spoken.auth(message) + spoken.step(FINAL) + spoken.mechanisms)
    assert spoken.replies(outcome) == [spoken.failed, spoken.failed, spoken.listed(b"SCRAM-SHA-256 PLAIN")]
    assert outcome.proofs == []


def test_the_largest_first_reply_is_within_its_bound(spoken):
    first = b"n,,n=sammy,r=" + b"x" * 256
    assert 256 < len(hold(spoken.begin(), spoken.auth(first)).sent) < 1024


def test_a_list_that_was_changed_on_its_way(spoken):
    offered = spoken.begin(f"{NAME}-PLUS", NAME, binding=b"certificate")
    outcome = hold(offered, spoken.auth(FIRST.replace(b"n,,", b"y,,")) + spoken.auth(FIRST, f"{NAME}-PLUS"))
    assert spoken.replies(outcome) == [spoken.failed] * 2


def test_external(spoken):
    offered = spoken.begin("EXTERNAL", NAME, certificate=WEB)
    for sent in (spoken.auth(b"web", "EXTERNAL"), spoken.auth(b"", "EXTERNAL") + spoken.step(b"", "EXTERNAL")):
        outcome = hold(offered, sent + b"rest")
        assert spoken.replies(outcome)[-1] == spoken.ok
        assert (outcome.logged_in.principal, outcome.logged_in.mechanism) == (WEB, "EXTERNAL")
        assert outcome.logged_in.leftover == b"rest"
    assert spoken.replies(hold(offered, spoken.auth(b"root", "EXTERNAL"))) == [spoken.failed]


def test_external_without_a_certificate(spoken):
    offered = spoken.begin("EXTERNAL", "PLAIN")
    outcome = hold(offered, spoken.mechanisms + spoken.auth(b"web", "EXTERNAL") + spoken.auth(b"", "EXTERNAL"))
    assert spoken.replies(outcome) == [spoken.listed(b"PLAIN"), spoken.failed, spoken.failed]


def test_passwords_where_they_may_not_go_in_clear(spoken):
    offered = spoken.begin("PLAIN", NAME, clear=False)
    outcome = hold(offered, spoken.mechanisms + spoken.auth(b"\0sammy\0secret", "PLAIN"))
    assert spoken.replies(outcome) == [spoken.listed(NAME.encode()), spoken.failed]
    assert outcome.attempts == []
