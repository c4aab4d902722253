"""The container image, really built and run. It takes two minutes and 2 GB: MCPROXY_TEST_IMAGE=1 asks for it.

MCPROXY_TEST_IMAGE=DIRECTORY keeps images and layers there, so that the next run builds only what has changed.
"""

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.certificates import Certificates
from tests.support.compose import compose_file
from tests.support.configuration import configuration, write_users
from tests.support.conversation import Connection
from tests.support.image import ROOT, USER, Container, Store, debian_packages, missing_tools, pinned, run
from tests.support.memcached import Memcached
from tests.support.proxy import token
from tests.support.waiting import eventually

WANTED = os.environ.get("MCPROXY_TEST_IMAGE", "")
pytestmark = [
    pytest.mark.skipif(not WANTED, reason="building takes two minutes: MCPROXY_TEST_IMAGE=1 asks for it"),
    pytest.mark.alone,
    pytest.mark.timeout(1800),
]
BASE = "docker.io/library/debian:bookworm-slim"
IMAGE = "localhost/mcproxy:test"
PYTHON = "/opt/mcproxy/bin/python"
MEGABYTES = 100
"""As docs/containers.md promises."""


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    assert os.geteuid() == 0, "only root can build images here"
    assert not missing_tools(), f"install Debian's packages: {' '.join(missing_tools())}"
    kept = None if WANTED == "1" else Path(WANTED).resolve()
    directory = kept or Path(tempfile.mkdtemp(prefix="mcproxy-image-"))
    directory.mkdir(exist_ok=True)
    images = Store(directory)
    try:
        if run(images.podman("image", "exists", BASE)).returncode != 0:
            images.make_base(BASE)
        images.build(IMAGE, "--build-arg", "VERSION=0.0.1")
        yield images
    finally:
        # What was mounted by podman is unmounted there and here.
        run(["buildah", "--root", f"{directory}/images", "--runroot", f"{directory}/run", "rm", "--all"])
        run(images.podman("rm", "--all", "--force"))
        if kept is None:
            run(["umount", "--recursive", f"{directory}/images/overlay"])
            shutil.rmtree(directory)


@pytest.fixture(scope="module")
def tree(store: Store) -> Iterator[Path]:
    """The image's files."""
    container = store.buildah("from", "--pull-never", IMAGE).strip()
    yield Path(store.buildah("mount", container).strip())
    store.buildah("umount", container)
    store.buildah("rm", container)


def test_what_is_in_it_is_what_the_documentation_lists(store: Store, tree: Path) -> None:
    assert {path.name for path in (tree / "var/lib/dpkg/status.d").iterdir()} == debian_packages()
    installed = {
        path.name.removesuffix(".dist-info").lower().replace("_", "-").rpartition("-")[::2]
        for path in tree.glob("opt/mcproxy/lib/python3.11/site-packages/*.dist-info")
    }
    ours = {(name, version) for name, version in installed if name == "mcproxy-guard"}
    assert len(ours) == 1
    assert installed - ours == set(pinned(ROOT / "requirements/run.txt").items())
    size = store.inspect(IMAGE)["Size"]
    print(f"{size / 1e6:.1f} MB")
    assert size < MEGABYTES * 1e6


def test_there_is_nothing_to_run_but_python(tree: Path) -> None:
    programs = {path.name for place in ("usr/bin", "usr/sbin", "opt/mcproxy/bin") for path in (tree / place).iterdir()}
    assert programs == {"python3.11", "python3", "python", "mcproxy"}
    packages = tree / "opt/mcproxy/lib/python3.11/site-packages"
    assert not [name for name in ("pip", "setuptools", "mypy") if (packages / name).exists()]
    assert list(packages.glob("*__mypyc*.so")), "the inner loop is not compiled"


def test_nothing_belongs_to_its_user_but_where_it_writes(tree: Path) -> None:
    found = list(tree.rglob("*"))
    writable = {
        str(path.relative_to(tree))
        for path in found
        if not path.is_symlink() and (path.stat().st_uid == USER or path.stat().st_mode & 0o002)
    }
    assert writable == {"run/mcproxy", "var/lib/mcproxy", "tmp", "var/tmp"}
    assert not [path for path in found if not path.is_symlink() and path.is_file() and path.stat().st_mode & 0o6000]


def test_what_it_says_of_itself(store: Store) -> None:
    settings = store.inspect(IMAGE)["Config"]
    assert settings["User"] == f"{USER}:{USER}"
    assert settings["Entrypoint"] == ["/opt/mcproxy/bin/mcproxy"]
    assert settings["Cmd"] == ["run"]
    assert settings["StopSignal"] in ("SIGTERM", "15")
    assert settings["Labels"]["org.opencontainers.image.version"] == "0.0.1"


def test_every_library_is_there(store: Store) -> None:
    script = (
        "import ctypes, pathlib\n"
        "found = [p for top in ('/usr/lib/python3.11', '/opt/mcproxy') for p in pathlib.Path(top).rglob('*.so')]\n"
        "for path in found: ctypes.CDLL(str(path))\n"
        "print(len(found))\n"
    )
    loaded = store.run_once(IMAGE, "-c", script, options=["--entrypoint", PYTHON])
    assert int(loaded) > 20


def test_the_first_steps_of_compose(store: Store, tmp_path: Path) -> None:
    """With its users and mounts: root without capabilities writes what mcproxy can read and can't change."""
    compose = ROOT / "deploy/compose"
    for name in ("authority", "tls", "monitoring", "users"):
        (tmp_path / name).mkdir()
    os.chown(tmp_path / "users", USER, USER)

    def mounted(*places: str) -> list[str]:
        return [word for place in places for word in ("--volume", place)]

    made = [f"{tmp_path}/{name}:/{name}" for name in ("authority", "tls", "monitoring")]
    setup = compose_file()["services"]["setup"]
    program, *script = setup["entrypoint"]
    options = ["--user", setup["user"], "--entrypoint", program, *mounted(f"{compose}/setup:/setup:ro", *made)]
    printed = store.run_once(IMAGE, *script, *setup["command"], options=options)
    assert printed.startswith("-----BEGIN CERTIFICATE-----")

    users = f"{tmp_path}/users:/var/lib/mcproxy"
    options = mounted(f"{compose}/mcproxy:/etc/mcproxy:ro", f"{made[1]}:ro", f"{made[2]}:ro", users)
    store.run_once(IMAGE, "user", "add", "sammy", "--password-stdin", options=options, text="correct horse\n")
    assert "1 user (sammy)" in store.run_once(IMAGE, "check", options=options)


@pytest.fixture
def running(store: Store, tmp_path: Path, certificates: Certificates) -> Iterator[Container]:
    """Two workers in front of a real memcached, with a read-only root; only the users' directory can be written."""
    with tempfile.TemporaryDirectory(prefix="mcproxy-") as short, Memcached(Path(short)) as memcached:
        Path(short).chmod(0o755)
        memcached.socket_path.chmod(0o777)
        files, users = tmp_path / "etc", tmp_path / "users"
        files.mkdir()
        users.mkdir(mode=0o700)
        write_users(users / "users", {"sammy": "correct horse"})
        settings = configuration(tmp_path, f"unix:/run/memcached/{memcached.socket_path.name}", certificates)
        for source in (certificates.server_certificate, certificates.server_key):
            shutil.copy(source, files)
        tls = {"certificate": "/etc/mcproxy/server.crt", "key": "/etc/mcproxy/server.key"}
        network = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "authentication": ["sasl", "token"], "tls": tls}
        settings |= {
            "listeners": {"tls": network},
            "users_file": "/var/lib/mcproxy/users",
            "admin": {"bind": "unix:/run/mcproxy/admin.sock"},
            "workers": 2,
        }
        (files / "mcproxy.yaml").write_text(yaml.safe_dump(settings))
        sockets = tmp_path / "sockets"
        sockets.mkdir()
        for path in (users, users / "users", files / "server.key", sockets):
            os.chown(path, USER, USER)
        volumes = [f"{files}:/etc/mcproxy:ro", f"{users}:/var/lib/mcproxy", f"{short}:/run/memcached:ro"]
        volumes.append(f"{sockets}:/run/mcproxy")
        with Container(store, IMAGE, f"mcproxy-{os.getpid()}", volumes, "run") as container:
            container.ready()
            yield container
        run(store.podman("rm", "--force", container.name))


def connected(container: Container, certificates: Certificates) -> Connection:
    host, _, port = str(container.events("listening", listener="tls")[0]["address"]).rpartition(":")
    raw = socket.create_connection((host, int(port)), 10)
    return Connection(certificates.client_context().wrap_socket(raw, server_hostname="localhost"))


PROCESSES = """
import pathlib
for directory in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        state, parent = (directory / "stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        continue
    print(directory.name, state, parent)
"""


def children(container: Container) -> dict[str, str]:
    """The children of process 1, by number, with their states."""
    listed = container.run_inside(PYTHON, "-c", PROCESSES)
    assert listed.returncode == 0, listed.stderr
    rows = [line.split() for line in listed.stdout.splitlines()]
    return {number: state for number, state, parent in rows if parent == "1"}


def test_it_serves_with_a_read_only_root(running: Container, certificates: Certificates) -> None:
    with contextlib.closing(connected(running, certificates)) as client:
        client.send(token("sammy") + b"set app:a 0 0 1\r\nx\r\nget app:a\r\nget other\r\n")
        expected = b"STORED\r\nSTORED\r\nVALUE app:a 0 1\r\nx\r\nEND\r\nCLIENT_ERROR access denied\r\n"
        assert client.receive(len(expected)) == expected

    status = running.run_inside(PYTHON, "-c", "print(open('/proc/1/status').read())")
    fields = dict(line.split(":", 1) for line in status.stdout.splitlines() if ":" in line)
    assert fields["Uid"].split() == fields["Gid"].split() == [str(USER)] * 4
    assert int(fields["CapBnd"], 16) == int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"].strip() == "1"
    for place in ("/opt/mcproxy", "/tmp", "/etc/mcproxy"):
        written = running.run_inside(PYTHON, "-c", f"open('{place}/x', 'w')")
        assert "Read-only file system" in written.stderr, f"{place}: {written}"
    assert running.healthcheck().returncode == 0
    assert running.run_inside("/opt/mcproxy/bin/mcproxy", "health", "--ready").returncode == 0


def test_process_1_takes_leave_of_its_children_and_ends_at_sigterm(running: Container) -> None:
    before = children(running)
    assert len(before) == 2, before
    ended = next(iter(before))
    assert running.run_inside(PYTHON, "-c", f"import os; os.kill({ended}, 9)").returncode == 0

    def replaced() -> bool:
        now = children(running)
        return len(now) == 2 and ended not in now and "Z" not in now.values()

    eventually("another worker, and nothing left of the first", replaced, within=20)
    assert running.terminate() == 0, str(running)


def test_users_change_while_it_runs(running: Container, certificates: Certificates) -> None:
    """By the command in the container; the files' directory is what is mounted, so they can be replaced."""
    mcproxy = "/opt/mcproxy/bin/mcproxy"
    added = running.run_inside(mcproxy, "user", "add", "olga", "--password-stdin", text="quite long enough\n")
    assert added.returncode == 0, added.stderr

    def let_in() -> bool:
        with contextlib.closing(connected(running, certificates)) as client:
            client.send(b"set _ 0 0 22\r\nolga quite long enough\r\n")
            return client.line() == b"STORED\r\n"

    eventually("the new user is let in", let_in, every=0.2)
