"""`mcproxy health` where something else answers: no word of a stranger is taken for health, or upsets a terminal."""

import socket
import threading
import time

import pytest

from mcproxy.cli.admin_client import AdminUnreachable, fetch
from mcproxy.cli.health import AdminSection, read_admin
from mcproxy.cli.main import main
from mcproxy.config.addresses import TcpAddress

WELL = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b"


@pytest.fixture
def stranger():
    """Answers one request with this, or with what `dripping` yields, slowly; returns its address."""
    running = []

    def start(answer=b"", dripping=()):
        sock = socket.create_server(("127.0.0.1", 0))

        def serve():
            connection, _ = sock.accept()
            with connection:
                connection.recv(4096)
                try:
                    connection.sendall(answer)
                    for piece in dripping:
                        connection.sendall(piece)
                        time.sleep(0.05)
                except OSError:
                    pass  # whoever asked has gone

        thread = threading.Thread(target=serve)
        thread.start()
        running.append((sock, thread))
        return TcpAddress(*sock.getsockname())

    yield start
    for sock, thread in running:
        thread.join(20)
        sock.close()


def asked(tmp_path, address, *options, more=""):
    path = tmp_path / "mcproxy.yaml"
    path.write_text(f'admin: {{bind: "{address}"{more}}}\n')
    return main(["health", "--config", str(path), *options])


@pytest.mark.parametrize(
    ("body", "options", "told"),
    [
        (b"<html>It works!</html>", [], "what answers /healthz is not mcproxy: <html>It works!</html>"),
        (b"", [], "what answers /healthz is not mcproxy: it says nothing"),
        (b"ok\n", ["--ready"], "what answers /readyz is not mcproxy: ok"),
        (b"\x1b[31m" + 9999 * b"x", [], "what answers /healthz is not mcproxy: \\x1b[31m" + 495 * "x"),
    ],
)
def test_another_server_is_not_well(stranger, tmp_path, capsys, body, options, told):
    assert asked(tmp_path, stranger(WELL % (len(body), body)), *options) == 1
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", f"mcproxy: health: {told}\n")


def test_a_reason_is_escaped(stranger, tmp_path, capsys):
    assert asked(tmp_path, stranger(b"HTTP/1.1 503 X\r\nContent-Length: 5\r\n\r\n\x1b[31m")) == 1
    assert capsys.readouterr().err == "mcproxy: health: \\x1b[31m (/healthz answered 503)\n"


def test_the_time_is_for_the_whole_answer(stranger):
    """However often something of it comes."""
    sent = []

    def drops():
        for byte in WELL % (3, b"ok\n"):
            sent.append(byte)
            yield bytes([byte])

    address = stranger(dripping=drops())
    with pytest.raises(AdminUnreachable, match=r"no answer within 0\.3 seconds"):
        fetch(AdminSection(address, None, None, None), "/healthz", timeout=0.3)
    assert bytes(sent).find(b"\r\n\r\n") < 0, "it was not even waited for the end of the header"


@pytest.mark.parametrize("answer", [b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nok", 99999 * b"x", b"x"])
def test_what_is_not_http(stranger, answer):
    with pytest.raises(AdminUnreachable, match=r"what answers there is no admin port \(that is not HTTP\)$"):
        fetch(AdminSection(stranger(answer), None, None, None), "/healthz")


def test_no_answer_at_all(stranger):
    """As an admin port does that has too many connections."""
    with pytest.raises(AdminUnreachable, match=r"closed without an answer; are there too many connections"):
        fetch(AdminSection(stranger(b""), None, None, None), "/healthz")


def test_an_admin_port_that_wants_a_certificate(stranger, tmp_path, capsys):
    """A health check has none to show; whatever came of it, that is what has to be mended."""
    tls = ", tls: {certificate: a, key: b, client_ca: c}"
    assert asked(tmp_path, stranger(b"no TLS"), more=tls) == 1
    hint = "(admin.tls.client_ca asks for a certificate, and a health check has none; set admin.health_bind)\n"
    assert capsys.readouterr().err.endswith(hint)
    apart = stranger(WELL % (3, b"ok\n"))
    assert asked(tmp_path, "127.0.0.1:1", more=f'{tls}, health_bind: "{apart}"') == 0
    assert read_admin(tmp_path / "mcproxy.yaml").tls.wants_certificate
