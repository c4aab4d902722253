"""`mcproxy demo` as a person meets it: start it, paste what it prints, end it, and look for what it left behind."""

import json
import os
import re
import shutil
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from mcproxy.cli.errors import CommandError
from mcproxy.demo.certificates import AUTHORITY, CERTIFICATE, KEY, write_certificates
from mcproxy.demo.memcached import running_memcached
from mcproxy.demo.ports import choose_port
from tests.support.waiting import eventually

ANY_PORTS = ("--port", "0", "--plain-port", "0", "--admin-port", "0")


class Demo:
    """The program as a child, its standard output and error collected by threads of their own."""

    def __init__(self, *options, environment=None):
        command = [sys.executable, "-m", "mcproxy", "demo", *options]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self.output, self.errors = [], []
        self._readers = [
            threading.Thread(target=lines.extend, args=(stream,), daemon=True)
            for lines, stream in ((self.output, self.process.stdout), (self.errors, self.process.stderr))
        ]
        for reader in self._readers:
            reader.start()

    def wait_until_ready(self):
        eventually(f"the demo is ready; {self}", lambda: self._running() and "Ctrl-C ends" in self.text, within=30)
        return self

    @property
    def text(self):
        return "".join(self.output)

    @property
    def commands(self):
        """What is to be pasted: the lines below each comment, in order."""
        return [block.partition(":\n")[2].strip() for block in re.split(r"\n\n", self.text) if block.startswith("# ")]

    @property
    def directory(self):
        return Path(re.search(r"removes (\S+)\.$", self.text, re.MULTILINE)[1])

    @property
    def password(self):
        return re.search(r"--password=(\S+)", self.text)[1]

    @property
    def memcached(self):
        """memcached's process id."""
        return int(Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0])

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.close()

    def close(self):
        status = self.process.wait(20)
        for reader in self._readers:
            reader.join(10)
        self.process.stdout.close()
        self.process.stderr.close()
        return status

    def _running(self):
        assert self.process.poll() is None, f"it ended with status {self.process.returncode}: {self}"
        return True

    def __str__(self):
        return self.text + "".join(self.errors)


@contextmanager
def running(*options):
    demo = Demo(*options)
    try:
        yield demo.wait_until_ready()
    finally:
        if demo.process.poll() is None:
            demo.end()


def refused(*options, environment=None):
    """Exit status and standard error of a demo that can't start."""
    demo = Demo(*options, environment=environment)
    return demo.close(), "".join(demo.errors)


def paste(command):
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    return done.returncode, done.stdout


def exists(process):
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False


@pytest.fixture
def short_path():
    """pytest's own temporary directories can be too deep for a unix socket."""
    with tempfile.TemporaryDirectory(prefix="mcproxy-") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def demo():
    with running(*ANY_PORTS) as started:
        yield started


def test_the_line_without_a_login_prints_nothing_and_fails(demo):
    status, output = paste(demo.commands[0])
    assert output == ""
    assert status != 0


def test_the_same_line_with_the_login_prints_the_statistics(demo):
    assert demo.commands[1].startswith(demo.commands[0])
    status, output = paste(demo.commands[1])
    assert status == 0
    assert "curr_items" in output


def test_a_wrong_password_fails(demo):
    status, output = paste(demo.commands[1].replace(demo.password, "wrong"))
    assert output == ""
    assert status != 0


def test_the_python_lines_store_and_read_over_tls(demo):
    status, output = paste(demo.commands[2])
    assert status == 0
    assert output.split() == ["STORED", "STORED", "VALUE", "greeting", "0", "5", "hello", "END"]


def test_the_metrics_line_shows_the_metrics(demo):
    status, output = paste(demo.commands[3])
    assert status == 0
    assert "\nmcproxy_ready 1.0\n" in output


def test_the_status_page_is_where_it_says(demo):
    with urllib.request.urlopen(demo.commands[4], timeout=10) as answer:
        assert answer.read().startswith(b"<!doctype html>")


def test_nothing_about_it_needs_attention(demo):
    with urllib.request.urlopen(f"{demo.commands[4]}status.json", timeout=10) as answer:
        verdict = json.load(answer)["verdict"]
    assert (verdict["level"], verdict["reasons"]) == ("good", [])


def test_only_the_configured_ports_listen_and_none_of_memcached(demo):
    listening = subprocess.run(["ss", "-H", "-ltnup"], capture_output=True, text=True, check=True, timeout=30).stdout
    assert f"pid={demo.memcached}," not in listening
    ours = [line for line in listening.splitlines() if f"pid={demo.process.pid}," in line]
    assert all(line.startswith("tcp") for line in ours)
    printed = set(re.findall(r"127\.0\.0\.1:\d+", "\n".join(demo.commands)))
    tls_port = re.search(r"\(.127\.0\.0\.1., (\d+)\)", demo.commands[2])[1]
    assert {re.search(r"127\.0\.0\.1:\d+", line)[0] for line in ours} == printed | {f"127.0.0.1:{tls_port}"}
    assert len(ours) == 3


def test_nobody_else_can_open_the_socket_or_see_the_files(demo):
    path = demo.directory / "memcached" / "socket"
    assert stat.S_IMODE(demo.directory.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert demo.directory.stat().st_uid == os.geteuid()
    if os.geteuid() == 0:
        user = path.stat().st_uid
        assert user == Path(f"/proc/{demo.memcached}").stat().st_uid
        others = [process for process in Path("/proc").glob("[0-9]*") if process.stat().st_uid == user]
        assert [int(process.name) for process in others] == [demo.memcached]


def test_the_password_is_on_the_terminal_alone(demo):
    secret = demo.password.encode()
    for process in (demo.process.pid, demo.memcached):
        assert secret not in Path(f"/proc/{process}/cmdline").read_bytes()
        assert secret not in Path(f"/proc/{process}/environ").read_bytes()
    files = [path for path in demo.directory.rglob("*") if path.is_file()]
    assert {"users", "mcproxy.yaml", AUTHORITY, CERTIFICATE, KEY} <= {path.name for path in files}
    assert all(secret not in path.read_bytes() for path in files)
    assert paste(demo.commands[1])[0] == 0
    assert paste(demo.commands[1].replace(demo.password, f"{demo.password}x"))[0] != 0
    eventually("both logins are in the log", lambda: len(re.findall("login_", "".join(demo.errors))) >= 2)
    assert demo.password not in "".join(demo.errors)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_and_leaves_nothing_behind(number, short_path):
    wanted = short_path / "of-its-own"
    with running(*ANY_PORTS, "--directory", str(wanted)) as demo:
        assert demo.directory == wanted
        memcached = demo.memcached
        assert demo.end(number) == 0
        assert not exists(memcached)
        assert list(short_path.iterdir()) == []
        assert "Traceback" not in str(demo)


def test_killed_hard_it_takes_memcached_with_it(short_path):
    with running(*ANY_PORTS, "--directory", str(short_path / "demo")) as demo:
        memcached = demo.memcached
        demo.end(signal.SIGKILL)
        eventually("memcached is gone", lambda: not exists(memcached))


def test_it_ends_when_its_memcached_dies(short_path):
    with running(*ANY_PORTS, "--directory", str(short_path / "demo")) as demo:
        os.kill(demo.memcached, signal.SIGKILL)
        assert demo.close() == 1
    errors = "".join(demo.errors)
    assert "mcproxy: the demo's memcached has ended by itself (signal SIGKILL), and so has the demo\n" in errors
    assert list(short_path.iterdir()) == []


def test_a_usual_port_that_is_taken_is_replaced_and_that_is_said(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert choose_port(None, port, "--port") == 0
    assert capsys.readouterr().out == f"Port {port} is taken; using another one (--port chooses it).\n"
    assert choose_port(None, port, "--port") == port


@pytest.mark.parametrize("option", ["--port", "--plain-port", "--admin-port"])
def test_a_taken_port_that_was_asked_for_is_an_error(option):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, errors = refused(option, str(port))
    assert status == 1
    assert errors == f"mcproxy: {option} {port}: Address already in use; name another one\n"


@pytest.mark.parametrize("port", ["x", "-1", "65536", "٣"])
def test_what_is_no_port_is_a_wrong_command_line(port):
    status, errors = refused("--port", port)
    assert status == 2
    assert errors.count("\n") == 1
    assert errors.startswith("mcproxy: demo: argument --port")


def test_an_existing_directory_is_refused_and_left_alone(tmp_path):
    (tmp_path / "precious").write_text("data")
    status, errors = refused(*ANY_PORTS, "--directory", str(tmp_path))
    assert status == 2
    assert errors == f"mcproxy: {tmp_path} exists; name a directory that doesn't: it is removed at the end\n"
    assert (tmp_path / "precious").read_text() == "data"


def test_a_directory_too_deep_for_a_socket_is_refused_and_removed(tmp_path):
    deep = tmp_path / ("d" * 100)
    status, errors = refused(*ANY_PORTS, "--directory", str(deep))
    assert status == 2
    assert "too long for a unix socket; name a shorter directory with --directory" in errors
    assert not deep.exists()


def test_without_memcached_it_says_what_to_do(short_path):
    status, errors = refused(*ANY_PORTS, environment={"PATH": str(short_path), "TMPDIR": str(short_path)})
    assert status == 1
    assert errors == "mcproxy: memcached is not on the PATH; install it, or start with scripts/run, which gets it\n"
    assert list(short_path.iterdir()) == []


def test_a_memcached_that_does_not_start_is_quoted(short_path, monkeypatch):
    program = short_path / "memcached"
    program.write_text("#!/bin/sh\necho failed to listen >&2\nexit 71\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(short_path), prepend=os.pathsep)
    home = short_path / "home"
    home.mkdir()
    with (
        pytest.raises(CommandError, match=r"^memcached ended at once with status 71: failed to listen$"),
        running_memcached(home),
    ):
        pass


def test_memcached_serves_on_its_socket_and_is_gone_afterwards(short_path):
    with running_memcached(short_path) as path, socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"stats\r\n")
        process = int(re.search(rb"STAT pid (\d+)", connection.recv(65536))[1])
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        assert command == b"memcached\0-s\0socket\0-a\x000600\0-U\x000\0"
        assert exists(process)
    assert not exists(process)


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_the_certificate_is_good_for_strict_clients(tmp_path, name):
    write_certificates(tmp_path)
    assert stat.S_IMODE((tmp_path / KEY).stat().st_mode) == 0o600
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / CERTIFICATE, tmp_path / KEY)
    client = ssl.create_default_context(cafile=str(tmp_path / AUTHORITY))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=name)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    unfinished = [ours, theirs]
    for _ in range(10):
        for side in list(unfinished):
            try:
                side.do_handshake()
                unfinished.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert unfinished == []
    openssl = shutil.which("openssl")
    assert openssl, "openssl is not installed: apt-get install openssl"
    command = [openssl, "verify", "-x509_strict", "-CAfile", tmp_path / AUTHORITY, tmp_path / CERTIFICATE]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
