"""`mcproxy health` and the client behind it, against a real HTTP server: what is asked, believed, and said."""

import http.server
import os
import socket
import socketserver
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mcproxy.cli import admin_client
from mcproxy.cli.admin_client import AdminUnreachable, fetch
from mcproxy.cli.health import AdminSection, read_admin
from mcproxy.cli.main import main
from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.config.load import loads
from mcproxy.config.problems import ConfigurationError

TOKEN = "not-for-everybody"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with `server.answer`, and remembers path, Host and Authorization."""

    def do_GET(self):
        self.server.asked.append((self.path, self.headers["Host"], self.headers.get("Authorization")))
        status, body = self.server.answer
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) + self.server.missing))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

    def address_string(self):
        return ""


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """`address` is where it listens."""

    answer = (200, b"ok\n")
    missing = 0
    daemon_threads = True

    def __init__(self, *arguments, **more):
        self.asked = []
        super().__init__(*arguments, **more)

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)

    @property
    def address(self):
        if self.address_family == socket.AF_UNIX:
            return UnixAddress(self.server_address)
        return TcpAddress(*self.server_address[:2])

    def handle_error(self, *_):
        pass


class UnixServer(Server):
    address_family = socket.AF_UNIX


@pytest.fixture
def serve(monkeypatch, tmp_path):
    """Starts servers, which end with the test."""
    monkeypatch.chdir(tmp_path)  # a path may be too long for a socket
    running = []

    def start(kind=Server, address=("127.0.0.1", 0), context=None):
        server = kind(address, Handler)
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def section(bind, health_bind=None, tls=None, token_file=None):
    return AdminSection(bind, health_bind, tls, token_file)


class Tls:
    def __init__(self, certificate):
        self.certificate = certificate


def written(tmp_path, admin):
    """A configuration whose other parts are wrong: only the section counts."""
    path = tmp_path / "mcproxy.yaml"
    path.write_text(f"listeners: nonsense\nusers_file: /nowhere/to/be/found\nadmin: {admin}\n")
    return path


def test_it_is_well(serve, tmp_path, capsys):
    server = serve()
    path = written(tmp_path, f'{{bind: "{server.address}"}}')
    assert main(["health", "--config", str(path)]) == 0
    assert capsys.readouterr().out == "ok\n"
    server.answer = (503, b"no link to upstream (text): refused\n")
    assert main(["health", "--ready", "--config", str(path)]) == 1
    said = capsys.readouterr().err
    assert said == "mcproxy: health: no link to upstream (text): refused (/readyz answered 503)\n"
    assert server.asked == [("/healthz", "localhost", None), ("/readyz", "localhost", None)]


def test_health_bind_comes_first(serve, tmp_path, capsys):
    """Whatever stands in the way of the admin port, such as a token that only the proxy may read."""
    server = serve(UnixServer, "health")
    path = written(tmp_path, "{bind: 'unix:/nowhere', health_bind: 'unix:/proc/self/cwd/health', token_file: /none}")
    assert main(["health", "--config", str(path)]) == 0
    assert len(server.asked) == 1


def test_without_a_section_it_is_the_default_port(tmp_path):
    path = tmp_path / "mcproxy.yaml"
    path.write_text("listeners: {}\n")
    assert read_admin(path) == section(TcpAddress("127.0.0.1", 9156))


def test_the_section_says_the_same_as_to_the_proxy(tmp_path):
    admin = "{bind: '[::1]:5', health_bind: '10.0.0.5:6', tls: {certificate: tls/a.crt, key: /b}, token_file: token}"
    listeners = "listeners: {a: {bind: ['127.0.0.1:1'], allow: ['127.0.0.1'], authentication: [none]}}"
    text = f"{listeners}\nupstream: {{address: 'unix:/m'}}\nadmin: {admin}\n"
    path = tmp_path / "mcproxy.yaml"
    path.write_text(text)
    whole, part = loads(text, path, check_machine=False).admin, read_admin(path)
    assert (part.bind, part.health_bind, part.token_file) == (whole.bind, whole.health_bind, whole.token_file)
    assert part.tls.certificate == whole.tls.certificate == tmp_path / "tls/a.crt"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("admin: {bind: 'localhost'}", "has no port"),
        ("admin: nonsense", "must be a mapping"),
        ("- a list", "must be a mapping"),
        ("admin: {bind: [", "not valid YAML"),
        ("", "must be a mapping"),
        ("admin: {bind: !!python/object:x {}}", "not valid YAML"),
    ],
)
def test_a_wrong_configuration(tmp_path, capsys, text, told):
    path = tmp_path / "mcproxy.yaml"
    path.write_text(text)
    assert main(["health", "--config", str(path)]) == 2
    assert told in capsys.readouterr().err
    assert main(["health", "--config", str(tmp_path / "none")]) == 2
    with pytest.raises(ConfigurationError):
        read_admin(path)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "x", "99999"])
def test_a_wrong_timeout(capsys, seconds):
    assert main(["health", "--timeout", seconds]) == 2
    assert "must be a number of seconds" in capsys.readouterr().err


def test_nobody_is_there(tmp_path, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        path = written(tmp_path, f"{{bind: '127.0.0.1:{free.getsockname()[1]}'}}")
        assert main(["health", "--config", str(path)]) == 1
    assert capsys.readouterr().err.endswith("nobody listens there (Connection refused); is mcproxy running?\n")
    with pytest.raises(AdminUnreachable, match="nobody listens there"):
        fetch(section(UnixAddress("/nowhere/admin.sock")), "/healthz")
    with pytest.raises(AdminUnreachable, match="the port is the kernel's choice"):
        fetch(section(TcpAddress("127.0.0.1", 0)), "/healthz")


def test_every_address_is_reached_by_loopback(serve):
    server = serve()
    status, body = fetch(section(TcpAddress("0.0.0.0", server.address.port)), "/healthz")
    assert (status, body) == (200, b"ok\n")


def test_nobody_answers():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(AdminUnreachable, match=r"no answer within 0\.1 seconds"):
            fetch(section(TcpAddress(*silent.getsockname())), "/healthz", timeout=0.1)


def test_the_token_goes_with_what_needs_it(serve, tmp_path):
    server = serve()
    (tmp_path / "token").write_text(TOKEN + "\n")
    admin = section(server.address, token_file=tmp_path / "token")
    fetch(admin, "/metrics")
    fetch(admin, "/readyz")
    assert [authorization for _, _, authorization in server.asked] == [f"Bearer {TOKEN}", None]


@pytest.mark.parametrize("content", ["", "\n", "two\nlines", "a\r\nHost: b", "x" * 5000, "n\u00e4"])
def test_what_is_no_token_is_not_sent(serve, tmp_path, content):
    server = serve()
    (tmp_path / "token").write_text(content)
    with pytest.raises(AdminUnreachable, match="holds no token") as refused:
        fetch(section(server.address, token_file=tmp_path / "token"), "/metrics")
    assert not content.strip() or content not in str(refused.value)
    assert not server.asked


def test_a_token_that_cannot_be_read(serve, tmp_path):
    with pytest.raises(AdminUnreachable, match="/none: No such file"):
        fetch(section(serve().address, token_file=tmp_path / "none"), "/metrics")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(AdminUnreachable, match="is not a regular file"):
        fetch(section(serve().address, token_file=tmp_path / "pipe"), "/metrics")


def test_only_the_configured_certificate_is_believed(serve, certificates, tmp_path):
    """An authority's word is worth nothing: the token would go to whoever else it has certified."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.server_certificate, certificates.server_key)
    server = serve(context=context)
    (tmp_path / "token").write_text(TOKEN)
    right = section(server.address, tls=Tls(certificates.server_certificate), token_file=tmp_path / "token")
    assert fetch(right, "/metrics") == (200, b"ok\n")
    wrong = right._replace(tls=Tls(certificates.client_certificate))
    with pytest.raises(AdminUnreachable, match="shows another certificate than"):
        fetch(wrong, "/metrics")
    assert len(server.asked) == 1
    # It has been renewed on disk, and the reload is still to come: that is no reason to restart the proxy.
    assert fetch(wrong, "/healthz") == (200, b"ok\n")
    with pytest.raises(AdminUnreachable, match="holds no certificate"):
        fetch(right._replace(tls=Tls(certificates.server_key)), "/metrics")


def test_what_is_no_admin_port(serve, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def answer():
            connection, _ = other.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"ERROR\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(AdminUnreachable, match="what answers there is no admin port"):
            fetch(section(TcpAddress(*other.getsockname())), "/healthz")
        thread.join()
    server = serve()
    server.missing = 1
    with pytest.raises(AdminUnreachable, match="the answer breaks off"):
        fetch(section(server.address), "/healthz")
    monkeypatch.setattr(admin_client, "MOST", 2)
    server.missing = 0
    with pytest.raises(AdminUnreachable, match="the answer has no end"):
        fetch(section(server.address), "/healthz")


def test_it_imports_neither_the_schema_nor_the_server(serve, tmp_path):
    """A health check every few seconds must cost next to nothing."""
    path = written(tmp_path, f'{{bind: "{serve().address}"}}')
    script = "import sys; from mcproxy.cli.main import main; main(); print(*sys.modules)"
    command = [sys.executable, "-c", script, "health", "--config", str(path)]
    loaded = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]).stdout
    heavy = {"pydantic", "trio", "cryptography", "prometheus_client", "structlog"}
    heavy |= {"http.client", "email", "ssl", "encodings.idna", "mcproxy.cli.user"}
    assert not heavy & set(loaded.split())
