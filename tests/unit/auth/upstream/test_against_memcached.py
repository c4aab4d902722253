"""Logins to the real memcached: with Cyrus SASL's mechanisms (-S), with a token (-Y), and with no login at all."""

import pytest

from mcproxy.auth.upstream.errors import LoginRefused, UpstreamConfused
from tests.support.conversation import Connection
from tests.support.memcached import Memcached, with_sasl, with_token
from tests.support.packets import GET, NOT_FOUND, packet
from tests.unit.auth.holding import USERS

from .playing import begin

MECHANISMS = ["PLAIN", "CRAM-MD5", "DIGEST-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"]


@pytest.fixture(scope="module")
def cyrus(tmp_path_factory):
    with with_sasl(tmp_path_factory.mktemp("cyrus"), USERS, mechanisms=" ".join(MECHANISMS)) as memcached:
        yield memcached


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    with with_token(tmp_path_factory.mktemp("token"), USERS) as memcached:
        yield memcached


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    with Memcached(tmp_path_factory.mktemp("plain"), tcp=True) as memcached:
        yield memcached


def log_in(memcached, login):
    """The connection on which the login is done."""
    connection = Connection(memcached.connect())
    try:
        message = login.start()
        while not login.done:
            if message:
                connection.send(message)
            # One at a time, since memcached's answers may come in any pieces.
            data = connection.receive(1)
            assert data, str(connection)
            message = login.receive(data)
    except BaseException:
        connection.close()
        raise
    return connection


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize("user", USERS)
def test_sasl(cyrus, mechanism, user):
    with log_in(cyrus, begin(mechanism, "binary", user, USERS[user])) as connection:
        assert connection.ask(packet(GET, b"missing")).status == NOT_FOUND
        connection.in_step_binary()


@pytest.mark.parametrize("mechanism", MECHANISMS)
@pytest.mark.parametrize(("user", "password"), [("sammy", "wrong"), ("nobody", "secret")])
def test_sasl_refused(cyrus, mechanism, user, password):
    with pytest.raises(LoginRefused):
        log_in(cyrus, begin(mechanism, "binary", user, password))


def test_a_mechanism_that_upstream_does_not_have(cyrus):
    with pytest.raises(LoginRefused):
        log_in(cyrus, begin("SCRAM-SHA-256-PLUS", "binary", binding=bytes(32)))


@pytest.mark.parametrize("user", ["sammy", "josé"])
def test_the_token(token, user):
    with log_in(token, begin(None, "text", user, USERS[user])) as connection:
        connection.in_step()
        connection.send(b"get mcproxy\r\n")
        assert connection.line() == b"END\r\n"


@pytest.mark.parametrize(("user", "password"), [("sammy", "wrong"), ("nobody", "secret")])
def test_a_wrong_token(token, user, password):
    with pytest.raises(LoginRefused):
        log_in(token, begin(None, "text", user, password))


def test_no_token_is_left_where_none_is_wanted(plain):
    with pytest.raises(UpstreamConfused, match="would store the token as data"):
        log_in(plain, begin(None, "text"))
    with Connection(plain.connect()) as connection:
        connection.send(b"get mcproxy\r\n")
        assert connection.line() == b"END\r\n"


def test_no_sasl(plain, token):
    with pytest.raises(UpstreamConfused, match="memcached must run with -S"):
        log_in(plain, begin("PLAIN", "binary"))
    for memcached in (plain, token):
        with pytest.raises(UpstreamConfused, match="it has no SASL logins in the text protocol"):
            log_in(memcached, begin("PLAIN", "text"))
