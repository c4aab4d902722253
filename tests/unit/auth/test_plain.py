"""PLAIN messages (RFC 4616), case 36."""

import pytest
from puresasl.client import SASLClient

from mcproxy.auth import plain
from mcproxy.auth.credentials import Credentials, Malformed


@pytest.mark.parametrize(
    ("message", "username", "password"),
    [
        (b"\0sammy\0secret", "sammy", "secret"),
        (b"sammy\0sammy\0secret", "sammy", "secret"),
        (b"\0sammy\0 two words ", "sammy", " two words "),
        ("\0josé\0contraseña".encode(), "josé", "contraseña"),
        ("jose\u0301\0jose\u0301\0x".encode(), "josé", "x"),
        (b"\0" + b"u" * 255 + b"\0" + b"p" * 255, "u" * 255, "p" * 255),
        (b"\0not a name\0x", "not a name", "x"),
    ],
)
def test_good_messages(message, username, password):
    assert plain.parse(message) == Credentials(username, password)


def test_what_a_client_library_sends():
    client = SASLClient("localhost", "memcached", "PLAIN", username="sammy", password="secret")
    assert plain.parse(client.process()) == Credentials("sammy", "secret")


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"", "three parts"),
        (b"secret", "three parts"),
        (b"sammy\0secret", "three parts"),
        (b"\0sammy\0secret\0", "three parts"),
        (b"\0sammy\0sec\0ret", "three parts"),
        (b"\0\0\0", "three parts"),
        (b"\0\0secret", "name is empty"),
        (b"\0sammy\0", "password is empty"),
        (b"\0\0", "name is empty"),
        (b"root\0sammy\0secret", "authorization identity"),
        (b"Sammy\0sammy\0secret", "authorization identity"),
        (b"\xff\0sammy\0secret", "UTF-8"),
        (b"\0sammy\xff\0secret", "UTF-8"),
        (b"\0sammy\0secret\xc3", "UTF-8"),
        (b"\0sammy\0\xed\xa0\x80secret", "UTF-8"),
        (b"\0sammy\0\xc0\x80secret", "UTF-8"),
        (b"\0sammy\0" + b"secret" * 200, "longer than 1024"),
    ],
)
def test_bad_messages_say_why_and_nothing_more(message, said):
    parsed = plain.parse(message)
    assert isinstance(parsed, Malformed)
    assert said in parsed.reason
    assert "secret" not in repr(parsed)


def test_credentials_do_not_show():
    assert "sammy" not in repr(plain.parse(b"\0sammy\0hunter2"))
    assert "hunter2" not in repr(plain.parse(b"\0sammy\0hunter2"))
