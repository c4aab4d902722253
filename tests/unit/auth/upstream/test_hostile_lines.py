"""An upstream that answers a login with what no login allows, in lines: each ends it, within bounds."""

import pytest

from mcproxy.auth.upstream.errors import UpstreamConfused
from mcproxy.auth.upstream.exchange import ANSWER_LIMIT, DATA_LIMIT
from mcproxy.auth.upstream.lines import LINE_LIMIT

from .playing import begin, fails

ASKED = b"CLIENT_ERROR unauthenticated\r\n"
LISTED = b"SASL_MECH PLAIN EXTERNAL CRAM-MD5\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"VERSION 1.6.18\r\n",
        b"ERROR\r\n",
        b"STORED\r\n",
        b"CLIENT_ERROR unauthenticated \r\n",
        b"CLIENT_ERROR authentication failure\r\n",
        b"\r\n",
    ],
)
def test_no_token_for_who_does_not_ask(answer):
    assert "would store the token as data" in fails(begin(None, "text"), answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"stored\r\n",
        b"STORED \r\n",
        b"NOT_STORED\r\n",
        b"HD\r\n",
        b"END\r\n",
        b"CLIENT_ERROR unauthenticated\r\n",
        b"CLIENT_ERROR bad authentication token format\r\n",
        b"SERVER_ERROR out of memory\r\n",
    ],
)
def test_no_answer_to_a_token(answer):
    assert fails(begin(None, "text"), ASKED, answer) == "its answer to the token is none that memcached has"


@pytest.mark.parametrize("answer", [b"STORED\n", b"\n", b"CLIENT_ERROR unauthenticated\n"])
def test_bare_line_feeds(answer):
    assert fails(begin(None, "text"), answer) == "its answer to the login is no line of the text protocol"
    assert fails(begin(None, "text"), ASKED, answer) == "its answer to the login is no line of the text protocol"


@pytest.mark.parametrize("magic", [b"\x80", b"\x81"])
def test_binary(magic):
    assert fails(begin(None, "text"), magic) == "it does not speak the text protocol"
    assert fails(begin("PLAIN", "text"), magic + bytes(23)) == "it does not speak the text protocol"


def test_more_than_an_answer():
    words = "it sends more than its answer to the login"
    assert fails(begin(None, "text"), ASKED + b"STORED\r\n") == words, "both at once: it was not the token's"
    assert fails(begin(None, "text"), ASKED, b"STORED\r\nVERSION 1\r\n") == words
    assert fails(begin(None, "text"), ASKED, b"STORED\r\nE") == words
    assert fails(begin("PLAIN", "text"), LISTED + b"SASL_OK\r\n") == words
    assert fails(begin("PLAIN", "text"), LISTED, b"SASL_OK\r\n\r\n") == words


def test_more_after_the_login():
    login = begin(None, "text")
    login.start()
    login.receive(ASKED)
    login.receive(b"STORED\r\n")
    assert login.done
    with pytest.raises(UpstreamConfused):
        login.receive(b"E")
    assert not login.done


@pytest.mark.parametrize("mechanism", [None, "PLAIN"])
def test_lines_without_end(mechanism):
    login = begin(mechanism, "text")
    login.start()
    assert login.receive(b"x" * (LINE_LIMIT - 1)) == b""
    with pytest.raises(UpstreamConfused, match="its answer to the login is too long"):
        login.receive(b"x")
    assert fails(begin(mechanism, "text"), b"x" * (ANSWER_LIMIT + 1)) == "its answer to the login is too long"


@pytest.mark.parametrize(
    "answer",
    [b"SASL_MECH\r\n", b"SASL_MECH CRAM-MD5\r\n", b"SASL_MECH PLAIN,CRAM-MD5\r\n", b"SASL_MECH XPLAIN PLAINX\r\n"],
)
def test_a_list_without_ours(answer):
    assert fails(begin("PLAIN", "text"), answer) == "it does not offer the SASL mechanism to log in with"


@pytest.mark.parametrize("answer", [b"ERROR\r\n", b"SASL_OK\r\n", b"sasl_mech PLAIN\r\n", b"STORED\r\n", b"\r\n"])
def test_no_list(answer):
    assert fails(begin("PLAIN", "text"), answer) == "it has no SASL logins in the text protocol"


@pytest.mark.parametrize(
    "answer",
    [
        b"ERROR\r\n",
        b"STORED\r\n",
        b"SASL_OK \r\n",
        b"SASL_CONTINUE\r\n",
        b"SASL_CONTINUE -1\r\n",
        b"SASL_CONTINUE +1\r\n",
        b"SASL_CONTINUE 01\r\n",
        b"SASL_CONTINUE 1 \r\n",
        b"SASL_CONTINUE  1\r\n",
        b"SASL_CONTINUE 10000\r\n",
        b"SASL_CONTINUE 4294967296\r\n",
        b"SASL_CONTINUE \xd9\xa1\r\n",
    ],
)
def test_no_answer_to_sasl(answer):
    assert fails(begin("CRAM-MD5", "text"), LISTED, answer) == "its answer to the login is none that SASL has"


def test_challenges():
    login = begin("CRAM-MD5", "text", user="tim", password="tanstaaftanstaaf")
    login.start()
    assert login.receive(LISTED) == b"sasl auth CRAM-MD5 0\r\n\r\n"
    for byte in b"SASL_CONTINUE 42\r\n<1896.697170952@postoffice.reston.mci.net>\r":
        assert login.receive(bytes([byte])) == b""
    assert login.receive(b"\n") == b"sasl auth 36\r\ntim b913a602c7eda7a495b4e6e7334d3890\r\n"
    assert login.receive(b"SASL_OK\r\n") == b""
    assert login.done


def test_challenges_that_end_elsewhere():
    words = "its challenge does not end where it should"
    assert fails(begin("CRAM-MD5", "text"), LISTED, b"SASL_CONTINUE 7\r\n<1.2@a>xx") == words
    assert fails(begin("CRAM-MD5", "text"), LISTED, b"SASL_CONTINUE 6\r\n<1.2@a>\r\n") == words
    assert fails(begin("CRAM-MD5", "text"), LISTED, b"SASL_CONTINUE %d\r\n" % (DATA_LIMIT + 1)) == (
        "its challenge is too long"
    )


@pytest.mark.parametrize("answer", [b"AUTH_ERROR\r\n", b"AUTH_ERROR 32\r\n"])
def test_refused(answer):
    words = "it refuses the user, the password or the mechanism"
    assert fails(begin("PLAIN", "text"), LISTED, answer) == words
    assert fails(begin("CRAM-MD5", "text"), LISTED, b"SASL_CONTINUE 7\r\n<1.2@a>\r\n", answer) == words


def test_a_yes_before_we_proved_anything():
    assert fails(begin("CRAM-MD5", "text"), LISTED, b"SASL_OK\r\n") == "it accepts a login that is not complete"
