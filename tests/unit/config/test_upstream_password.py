"""Passwords for upstreams, as files and environment variables hold them."""

from pathlib import Path

import pytest

from mcproxy.config.schema import UpstreamLogin
from mcproxy.config.upstream_password import PasswordError, password_in, password_of


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret", "secret"),
        (b"secret\n", "secret"),
        (b"secret\r\n", "secret"),
        (b" two words \n", " two words "),
        (b"\xef\xbb\xbfsecret\n", "secret"),
        ("Gr\u00fc\u00dfe".encode(), "Gr\u00fc\u00dfe"),
    ],
)
def test_one_line_is_the_password(content: bytes, password: str) -> None:
    assert password_in(content) == password


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"\r\n", b"secret\n\n", b"secret\nsecret", b"secret\rsecret", b"sec\0ret", b"secret\xff"]
)
def test_anything_else_is_none_and_is_not_repeated(content: bytes) -> None:
    with pytest.raises(PasswordError) as caught:
        password_in(content)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_where_it_comes_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "password"
    path.write_text("of the file\n")
    monkeypatch.setenv("MCPROXY_TEST_PASSWORD", "of the environment")
    assert password_of(UpstreamLogin(method="token", password_file=path)) == "of the file"
    variable = UpstreamLogin(method="token", password_environment="MCPROXY_TEST_PASSWORD")
    assert password_of(variable) == "of the environment"
    assert password_of(UpstreamLogin(method="sasl", mechanism="EXTERNAL")) == ""
    monkeypatch.delenv("MCPROXY_TEST_PASSWORD")
    with pytest.raises(PasswordError, match="is not set"):
        password_of(variable)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        password_of(UpstreamLogin(method="token", password_file=path))
