"""What `mcproxy check` says of the admin port."""

import pytest

from mcproxy.cli.main import main


def told(installation, capsys, **admin):
    installation.change(admin=admin)
    assert main(["check", "--config", str(installation.config)]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("admin: ")]
    return line


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.touch(mode=0o600)
    path.write_text("0123456789abcdef\n")
    return str(path)


def test_who_may_ask_is_told(installation, capsys, certificates, token):
    assert told(installation, capsys, bind="127.0.0.1:1") == "admin: 127.0.0.1:1"
    health = told(installation, capsys, bind="127.0.0.1:1", token_file=token, health_bind="0.0.0.0:2")
    assert health == "admin: 127.0.0.1:1; no TLS, token required; health at 0.0.0.0:2"
    tls = {"certificate": str(certificates.server_certificate), "key": str(certificates.server_key)}
    tls |= {"client_ca": str(certificates.authority)}
    assert told(installation, capsys, bind="0.0.0.0:1", tls=tls, hosts=["cache-1.example.com"]) == (
        "admin: 0.0.0.0:1; TLS 1.2 or newer, client certificate required; also as cache-1.example.com"
    )
