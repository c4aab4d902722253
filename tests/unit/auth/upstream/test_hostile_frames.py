"""An upstream that answers a login with what no login allows, in frames: each ends it, within bounds."""

import pytest

from mcproxy.auth.upstream.errors import UpstreamConfused
from mcproxy.auth.upstream.exchange import ANSWER_LIMIT, DATA_LIMIT

from .playing import begin, ends, fails, reply, sent_data, step_reply

GOOD = reply(0, b"Authenticated")
OUT_OF_TURN = "it sends something that nobody asked for"


@pytest.mark.parametrize(
    "answer",
    [
        reply(0, opcode=0x22),
        reply(0, opcode=0x20),
        reply(0, opcode=0x0B),
        reply(0, opaque=0),
        reply(0, number=2),
        reply(0, magic=0x80),
        reply(0, magic=0x82),
        reply(0, b"k", key=1),
        reply(0, bytes(4), extras=4),
        reply(0, key=1),
        reply(0, data_type=1),
        reply(0, length=DATA_LIMIT + 1),
        reply(0x20, length=0xFFFF_FFFF),
        reply(0x04),
        reply(0x01),
        reply(0x24),
        reply(0x86),
        reply(0x8000),
        b"ERROR\r\n",
        b"STORED\r\n",
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\0",
    ],
    ids=lambda answer: answer[:12].hex(),
)
def test_no_answer_to_a_login(answer):
    fails(begin("PLAIN"), answer)


def test_the_words():
    assert fails(begin("PLAIN"), reply(0x81, b"Unknown command")) == (
        "it has no SASL logins; memcached must run with -S"
    )
    assert fails(begin("PLAIN"), reply(0x20, b"Auth failure.")) == (
        "it refuses the user, the password or the mechanism"
    )
    # What it says itself is nobody's to read.
    assert "secret" not in fails(begin("PLAIN"), reply(0x20, b"no such password: secret"))


@pytest.mark.parametrize("behind", [b"\x81", GOOD, b"x" * 100])
def test_more_than_an_answer(behind):
    assert fails(begin("PLAIN"), GOOD + behind) == "it sends more than its answer to the login"
    assert fails(begin("EXTERNAL"), reply(0x21) + behind) == "it sends more than its answer to the login"


def test_more_after_the_login():
    login = begin("PLAIN")
    login.start()
    assert login.receive(GOOD) == b""
    assert login.done
    with pytest.raises(UpstreamConfused, match=OUT_OF_TURN):
        login.receive(reply(0x21, b"again"))
    assert not login.done


def test_before_we_said_anything():
    login = begin("PLAIN")
    with pytest.raises(UpstreamConfused, match=OUT_OF_TURN):
        login.receive(GOOD)
    with pytest.raises(RuntimeError):
        login.start()


def test_started_twice():
    login = begin("PLAIN")
    login.start()
    with pytest.raises(RuntimeError):
        login.start()


def test_a_flood():
    assert fails(begin("PLAIN"), b"\x81" * (ANSWER_LIMIT + 1)) == "its answer to the login is too long"
    # The header tells already: nobody waits for a body that is going to be refused.
    login = begin("PLAIN")
    login.start()
    header = reply(0, length=DATA_LIMIT + 1)
    assert login.receive(header[:23]) == b""
    assert ends(login, header[23:]) == "its answer to the login is malformed or too long"


@pytest.mark.parametrize("body", [b"", b"x" * DATA_LIMIT], ids=len)
def test_any_words_in_a_yes(body):
    login = begin("PLAIN")
    login.start()
    for byte in reply(0, body):
        assert not login.done
        assert login.receive(bytes([byte])) == b""
    assert login.done


@pytest.mark.parametrize("challenge", [b"", b"more", b"\0"])
def test_plain_is_sent_once(challenge):
    assert fails(begin("PLAIN"), reply(0x21, challenge)) == "it asks for more than this login has"


def test_external_is_asked_for_once():
    login = begin("EXTERNAL", user="", password="")
    assert sent_data(login.start()) == b""
    again = login.receive(reply(0x21))
    assert again[1] == 0x22
    assert sent_data(again) == b""
    assert ends(login, step_reply(0x21)) == "it asks for more than this login has"
    assert fails(begin("EXTERNAL"), reply(0x21, b"who?")) == "its challenge is not one of this mechanism"
    login = begin("EXTERNAL")
    login.start()
    login.receive(reply(0))
    assert login.done, "upstream took the empty response for said"


class TestCramMd5:
    def test_the_example_of_the_rfc(self):
        """RFC 2195 section 2."""
        login = begin("CRAM-MD5", user="tim", password="tanstaaftanstaaf")
        assert sent_data(login.start()) == b""
        response = login.receive(reply(0x21, b"<1896.697170952@postoffice.reston.mci.net>"))
        assert sent_data(response) == b"tim b913a602c7eda7a495b4e6e7334d3890"
        assert not login.done
        assert login.receive(step_reply(0, b"Authenticated")) == b""
        assert login.done

    def test_a_yes_before_we_proved_anything(self):
        assert fails(begin("CRAM-MD5"), GOOD) == "it accepts a login that is not complete"

    def test_a_second_challenge(self):
        assert fails(begin("CRAM-MD5"), reply(0x21, b"<1.2@a>"), step_reply(0x21, b"<1.3@a>"))

    @pytest.mark.parametrize(
        "challenge",
        [b"", b"x", b"1.2@a", b"<>", b"<1.2@a> ", b"<1 2@a>", b"<1.2@a>\r\n", b"<a\0b>", b"<" + b"x" * 513 + b">"],
        ids=lambda challenge: challenge[:10].hex(),
    )
    def test_what_is_no_challenge(self, challenge):
        assert fails(begin("CRAM-MD5"), reply(0x21, challenge)) == "its challenge is not one of this mechanism"
