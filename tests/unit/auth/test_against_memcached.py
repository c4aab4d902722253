"""The same bytes before login to a real memcached and to the conversations: the same words come back."""

import pytest

from mcproxy.auth.login_binary import BinaryLogin
from mcproxy.auth.login_text import TextLogin
from mcproxy.auth.steps import Attempt, Close, Reply
from tests.support.conversation import Connection, shown
from tests.support.memcached import Memcached
from tests.support.packets import AUTH, GET, LIST_MECHS, NOOP, QUIT, SET, STEP, packet

from .holding import offer

USERS = {"sammy": "secret", "josé": "contraseña"}


@pytest.fixture(scope="module")
def token_memcached(tmp_path_factory):
    directory = tmp_path_factory.mktemp("token")
    users = directory / "users"
    users.write_text("".join(f"{name}:{password}\n" for name, password in USERS.items()))
    with Memcached(directory, "-Y", str(users), tcp=True) as memcached:
        yield memcached


@pytest.fixture(scope="module")
def sasl_memcached(tmp_path_factory):
    directory = tmp_path_factory.mktemp("sasl")
    (directory / "memcached.conf").write_text("mech_list: plain\n")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SASL_CONF_PATH", str(directory))
        with Memcached(directory, "-S", tcp=True) as memcached:
            yield memcached


def ours(conversation, sent):
    """What the conversation replies, and whether it closes."""
    conversation.feed(sent)
    said = b""
    while (step := conversation.next()) is not None:
        if isinstance(step, Reply):
            said += step.data
        elif isinstance(step, Attempt):
            conversation.answer(USERS.get(step.username) == step.password)
        elif isinstance(step, Close):
            return said, True
    return said, False


@pytest.mark.parametrize(
    "sent",
    [
        b"set x 0 0 12\r\nsammy secret\r\n",
        b"set x 0 0 12 noreply\r\nsammy secret\r\n",
        b"set _ auth never 12\r\nsammy secret\r\n",
        "set x 0 0 17\r\njosé contraseña\r\n".encode(),
        b"set x 0 0 11\r\nsammy wrong\r\n",
        b"set x 0 0 8\r\nnobody x\r\n",
        b"set x 0 0 5\r\nsammy\r\n",
        b"set x 0 0 6\r\nsammy \r\n",
        b"set x 0 0 7\r\n secret\r\n",
        b"set x 0 0 0\r\n\r\n",
        b"get a\r\n",
        b"version\r\n",
        b"mn\r\n",
        b"flush_all noreply\r\n",
        b"delete a noreply\r\n",
        b"\r\n",
        b"bogus\r\n",
        b"incr a 1\r\n",
    ],
    ids=shown,
)
def test_text(token_memcached, sent):
    expected, closes = ours(TextLogin(offer("PLAIN")), sent)
    assert expected
    assert not closes
    with Connection(token_memcached.connect()) as connection:
        connection.send(sent)
        assert connection.receive(len(expected)) == expected
        # Nothing else came, and nothing is half read: the next line gets its own answer.
        connection.send(b"bogus\r\n")
        assert connection.line() in (b"CLIENT_ERROR unauthenticated\r\n", b"ERROR\r\n")


@pytest.mark.parametrize(
    "sent",
    [
        packet(NOOP, opaque=7),
        packet(QUIT, opaque=7),
        packet(GET, b"k", opaque=7),
        packet(SET, b"k", b"v", b"\0" * 8, opaque=7),
        packet(0x77, opaque=7),
        packet(STEP, b"PLAIN", b"x", opaque=7),
        packet(AUTH, b"NO-SUCH-ONE", b"x", opaque=7),
        packet(AUTH, b"x" * 33, b"x", opaque=7),
        packet(AUTH, b"", b"x", opaque=7),
        packet(AUTH, b"PLAIN", b"x", b"1234", opaque=7),
        packet(LIST_MECHS, b"x", opaque=7),
        packet(LIST_MECHS, b"", b"x", opaque=7),
    ],
    ids=lambda sent: f"{sent[1]:02x}-{len(sent)}",
)
def test_binary(sasl_memcached, sent):
    expected, closes = ours(BinaryLogin(offer("PLAIN")), sent)
    with Connection(sasl_memcached.connect()) as connection:
        connection.send(sent)
        assert connection.receive(len(expected)) == expected
        if closes:
            connection.expect_closed()
        else:
            assert connection.ask(packet(LIST_MECHS)).status == 0
