import pytest

from mcproxy.auth import token
from mcproxy.auth.credentials import Credentials, Malformed


@pytest.mark.parametrize(
    ("body", "username", "password"),
    [
        (b"sammy secret", "sammy", "secret"),
        (b"sammy two words", "sammy", "two words"),
        (b"sammy  secret", "sammy", " secret"),
        (b"sammy secret ", "sammy", "secret "),
        ("josé contraseña".encode(), "josé", "contraseña"),
        (b"a:b c", "a:b", "c"),
    ],
)
def test_the_first_space_parts_user_and_password(body, username, password):
    assert token.parse(body) == Credentials(username, password)


@pytest.mark.parametrize(
    "body", [b"", b" ", b"sammy", b"sammy ", b" secret", b"sammy sec\xffret", b"s\xff secret", b"s " + b"x" * 1023]
)
def test_malformed_tokens(body):
    parsed = token.parse(body)
    assert isinstance(parsed, Malformed)
    assert "sec" not in parsed.reason


@pytest.mark.parametrize(
    ("line", "length"),
    [
        (b"set x 0 0 12", b"12"),
        (b"set _ auth never 12", b"12"),
        (b"set x 0 0 12 noreply", b"12"),
        (b"set x 0 0 many", b"many"),
        (b"set x 0 0 12 nonsense", None),
        (b"set x 0 0 12 noreply more", None),
        (b"set x 0 0", None),
        (b"add x 0 0 12", None),
        (b"ms _ 12", b"12"),
        (b"ms _ 12 q O1 anything else", b"12"),
        (b"ms _", None),
        (b"mg _ 12", None),
        (b"", None),
    ],
)
def test_the_line_of_a_token(line, length):
    assert token.length_word(line.split()) == length


def own(key: bytes) -> bool:
    """Who is known already may write these keys."""
    return key.startswith(b"app:")


@pytest.mark.parametrize("line", [b"set x 0 0 12", b"set  _ y z 12 noreply", b"ms _ 12", b"ms k 12 q T5"])
def test_first_bytes_that_are_a_login(line):
    whole = line + b"\r\nsammy secret\r\n"
    enough = len(line) + 2 + len(b"sammy secret")
    for received in range(1, len(whole)):
        assert token.begins_with_login(whole[:received], own) is (None if received < enough else True)


@pytest.mark.parametrize("name", [b"sammy", b"olga", b"nobody-at-all"])
def test_who_exists_plays_no_part_in_what_is_a_login(name):
    body = name + b" secret"
    assert token.begins_with_login(b"set _ 0 0 %d\r\n%s\r\n" % (len(body), body), own) is True
    assert token.begins_with_login(b"set app:a 0 0 %d\r\n%s\r\n" % (len(body), body), own) is False


@pytest.mark.parametrize(
    "data",
    [
        b"get a\r\n",
        b"get",
        b"mg",
        b"mset",
        b"sasl auth PLAIN 12\r\n",
        b"ms a\r\n",
        b"ms a S5\r\n",
        b"ms a 1025\r\n" + b"x" * 2000,
        b"set a 0 0 5\r\nhello\r\n",
        b"set a 0 0 " + b"1" * 5000 + b"\r\n",
        b"set a 0 0 000000000000000012\r\n",
        b"set a 0 0 \xc2\xb2\r\n",
        b"set app:a 0 0 12\r\n",
        b"ms app:a 12\r\n",
        b"ms YXBwOmE= 12 b\r\n",
        b"ms " + b"x" * 2050,
    ],
)
def test_first_bytes_that_are_no_token_login(data):
    assert token.begins_with_login(data, own) is False
