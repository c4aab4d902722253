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
    ("line", "login"),
    [
        (b"set x 0 0 12", True),
        (b"set _ auth never 12", True),
        (b"set x 0 0 12 noreply", True),
        (b"set x 0 0 12 nonsense", False),
        (b"set x 0 0 12 noreply more", False),
        (b"set x 0 0", False),
        (b"add x 0 0 12", False),
        (b"", False),
    ],
)
def test_the_line_of_a_token(line, login):
    assert token.is_login_line(line.split()) is login
