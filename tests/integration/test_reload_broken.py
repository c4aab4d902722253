"""Case 59: whatever is wrong with the files, the old state serves on, and a metric and one clear line say so."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.configuration import PASSWORDS, write_users
from tests.support.conversation import play
from tests.support.proxy import Proxy
from tests.support.reloading import Reloads, replace
from tests.support.tap import Tap
from tests.support.workers import restarted, worker_processes


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two workers"])
def program(
    request: pytest.FixtureRequest,
    start_proxy: StartProxy,
    tap: Tap,
    certificates: Certificates,
    short_path: Callable[[], Path],
) -> Proxy:
    directory = short_path()
    for name in ("server.crt", "server.key"):
        shutil.copy(certificates.directory / name, directory / name)
    listener = {
        "bind": ["127.0.0.1:0"],
        "allow": ["127.0.0.0/8"],
        "authentication": ["sasl", "token"],
        "tls": {"certificate": str(directory / "server.crt"), "key": str(directory / "server.key")},
    }
    return start_proxy(tap.address, workers=request.param, watch_files=False, listeners={"tls": listener})


@pytest.fixture
def reloads(program: Proxy) -> Iterator[Reloads]:
    """With whole files before and after."""
    reloads = Reloads(program)
    kept = {path: path.read_bytes() for path in (*tls_files(reloads), reloads.users)}
    yield reloads
    for path, content in kept.items():
        if path.is_dir():
            path.rmdir()
        replace(path, content)
    Reloads(program).write()
    assert reloads.sighup()["event"] == "reloaded"


def tls_files(reloads: Reloads) -> list[Path]:
    return [Path(name) for name in reloads.settings["listeners"]["tls"]["tls"].values()]


def certificate(reloads: Reloads) -> Path:
    return tls_files(reloads)[0]


def key(reloads: Reloads) -> Path:
    return tls_files(reloads)[1]


def another_key(reloads: Reloads) -> None:
    replace(key(reloads), reloads.program.certificates.client_key.read_bytes())


def half_a_certificate(reloads: Reloads) -> None:
    whole = certificate(reloads).read_bytes()
    replace(certificate(reloads), whole[: len(whole) // 2])


def no_certificate(reloads: Reloads) -> None:
    certificate(reloads).unlink()


def open_key(reloads: Reloads) -> None:
    key(reloads).chmod(0o644)


def bad_users_line(reloads: Reloads) -> None:
    replace(reloads.users, reloads.users.read_text() + "eve:in-the-clear\n")


def no_users(reloads: Reloads) -> None:
    reloads.users.unlink()


def users_are_a_directory(reloads: Reloads) -> None:
    reloads.users.unlink()
    reloads.users.mkdir()


def bad_network(reloads: Reloads) -> None:
    reloads.settings["listeners"]["plain"]["allow"] = ["10.0.0.5/24"]
    reloads.write()


def no_yaml(reloads: Reloads) -> None:
    replace(reloads.program.configuration_path, "listeners: {")


def no_configuration(reloads: Reloads) -> None:
    reloads.program.configuration_path.unlink()


def another_address(reloads: Reloads) -> None:
    reloads.settings["listeners"]["plain"]["bind"] = ["127.0.0.2:0"]
    reloads.write()


def another_listener(reloads: Reloads) -> None:
    reloads.settings["listeners"]["more"] = reloads.settings["listeners"]["plain"]
    reloads.write()


def a_listener_less(reloads: Reloads) -> None:
    del reloads.settings["listeners"]["socket"]
    reloads.write()


def another_upstream(reloads: Reloads) -> None:
    reloads.settings["upstream"]["timeout"] = "7s"
    reloads.write()


def more_workers(reloads: Reloads) -> None:
    reloads.settings["workers"] = 3
    reloads.write()


def larger_values(reloads: Reloads) -> None:
    reloads.settings["limits"] = {"value": "2MiB"}
    reloads.write()


def another_admin(reloads: Reloads) -> None:
    reloads.settings["admin"]["health_bind"] = "127.0.0.3:0"
    reloads.write()


RESTART = "can't be changed while running; restart mcproxy"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (another_key, "listeners.tls.tls.key: {key} does not belong to the certificate {certificate}"),
        (half_a_certificate, "listeners.tls.tls.certificate: {certificate} is cut short"),
        (no_certificate, "listeners.tls.tls.certificate: there is no file {certificate}"),
        (open_key, "listeners.tls.tls.key: {key} can be read by everybody"),
        (bad_users_line, "{users}:6: what follows the name 'eve' is not a verifier"),
        (no_users, "users_file: there is no file {users}"),
        (users_are_a_directory, "users_file: {users} is not a regular file"),
        (bad_network, "listeners.plain.allow[0]: "),
        (no_yaml, "{configuration}:1: not valid YAML"),
        (no_configuration, "{configuration}: can't be read: No such file or directory"),
        (another_address, f"listeners.plain.bind: {RESTART}"),
        (another_listener, "listeners.more: a listener can't be added while running; restart mcproxy"),
        (a_listener_less, 'listeners: the listener "socket" can\'t be taken out while running; restart mcproxy'),
        (another_upstream, f"upstream.timeout: {RESTART}"),
        (more_workers, f"workers: {RESTART}"),
        (larger_values, f"limits.value: {RESTART}"),
        (another_admin, f"admin.health_bind: {RESTART}"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_the_old_state_serves(reloads: Reloads, damage: Callable[[Reloads], None], said: str) -> None:
    program = reloads.program
    generation = program.metric("mcproxy_generation")
    failures = program.metric("mcproxy_reloads_total", result="failure")
    connections = [program.logged_in("sammy"), program.logged_in("sammy", "tls")]
    damage(reloads)
    lines = len(program.events("reload_failed"))
    problem = reloads.fails()
    names = {"users": reloads.users, "configuration": program.configuration_path}
    assert said.format(key=key(reloads), certificate=certificate(reloads), **names) in problem
    assert len(program.events("reload_failed")) == lines + 1, "one line"
    assert program.metric("mcproxy_last_reload_successful") == 0
    assert program.metric("mcproxy_reloads_total", result="failure") == failures + 1
    assert program.metric("mcproxy_generation") == generation
    connections += [program.logged_in("sammy"), program.logged_in("sammy", "tls")]
    for connection in connections:
        play(connection, b"get app:none\r\n", b"END\r\n")


def test_many_mistakes_are_told_in_some_lines(reloads: Reloads) -> None:
    program = reloads.program
    replace(reloads.users, "\n".join(f"user{number}:nothing" for number in range(50)) + "\n")
    before = len(program.events("reload_failed"))
    reloads.fails()
    # What comes after these lines is behind them in the log.
    reloads.fails()
    told = program.events("reload_failed")[before:]
    told = told[: [record["number"] for record in told].index(1, 1)]
    assert len(told) == 20
    assert all(record["problems"] == 50 for record in told)


def test_a_worker_that_is_restarted_serves_the_old_state(reloads: Reloads) -> None:
    program = reloads.program
    if program.settings["workers"] == 1:
        return
    bad_users_line(reloads)
    reloads.fails()
    process = worker_processes(program)[1]
    os.kill(process, 9)
    restarted(program, 1, process)
    for _ in range(6):
        program.logged_in("sammy", "tls")


def test_afterwards_the_mended_files_are_taken(reloads: Reloads) -> None:
    program = reloads.program
    no_yaml(reloads)
    reloads.fails()
    write_users(reloads.users, PASSWORDS | {"newcomer": "welcome"})
    reloads.succeeds()
    assert program.metric("mcproxy_last_reload_successful") == 1
