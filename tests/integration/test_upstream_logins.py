"""Links that log in: with what, what happens when it is refused, and how that ends (cases 26, 46 to 49)."""

import base64
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.certificates import Certificates
from tests.support.configuration import ITERATIONS, server_tls
from tests.support.conversation import play
from tests.support.gateway import sasl_login, token_login, upstream_tls
from tests.support.memcached import Memcached, with_sasl, with_token
from tests.support.packets import packet
from tests.support.proxy import Proxy
from tests.support.reloading import Reloads, replace, users_text
from tests.support.serving import serves
from tests.support.waiting import eventually

OLD, NEW = "the-old-password", "the-new-password"
REFUSED = b"upstream refused the login"
NO_LINK = "no link to upstream (%s): login refused"


def password_file(directory: Path, password: str = OLD) -> Path:
    path = directory / "password"
    replace(path, password + "\n")
    return path


def listeners(protocol: str) -> dict[str, Any]:
    """One, of one protocol."""
    only = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "authentication": ["sasl"]}
    if protocol == "text":
        only["authentication"].append("token")
    return {"plain": {**only, "mechanisms": ["PLAIN"], "protocols": [protocol]}, "tls": None, "socket": None}


def start_binary(start_proxy: StartProxy, upstream: Memcached, mechanism: str, file: Path, **how: Any) -> Proxy:
    login = sasl_login(mechanism, file)
    return start_proxy(
        upstream.address, upstream={"login": login, "timeout": "1s", **how}, listeners=listeners("binary")
    )


def answer_in_binary(program: Proxy) -> packets.Response:
    with program.logged_in_binary("sammy") as connection:
        return connection.ask(packet(packets.GETK, b"app:a"))


def ready(program: Proxy, links: int = 2) -> None:
    """All links are in service, not only the first."""
    eventually("it is ready", lambda: program.http("/readyz")[0] == 200)
    eventually("all links are there", lambda: program.metric("mcproxy_upstream_links") == links)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_a_memcached_with_sasl(start_proxy: StartProxy, short_path: Callable[[], Path], mechanism: str) -> None:
    with with_sasl(short_path(), {"gateway": OLD}) as upstream:
        program = start_binary(start_proxy, upstream, mechanism, password_file(short_path()))
        ready(program)
        with program.logged_in_binary("sammy") as connection:
            assert connection.ask(packets.store(packets.SET, b"app:a", b"x")).status == 0
        assert answer_in_binary(program).value == b"x"


def test_sasl_over_tls_to_a_memcached_that_wants_a_certificate(
    start_proxy: StartProxy, short_path: Callable[[], Path], certificates: Certificates
) -> None:
    """memcached -S -Z, ssl_verify_mode=2. A link that would go without either is none."""
    with with_sasl(short_path(), {"gateway": OLD}, certificates=certificates) as upstream:
        file = password_file(short_path())
        tls = upstream_tls(certificates, shown=True)
        program = start_binary(start_proxy, upstream, "SCRAM-SHA-256", file, tls=tls)
        ready(program)
        assert answer_in_binary(program).status == packets.NOT_FOUND
        reloads = Reloads(program)
        del reloads.settings["upstream"]["login"]
        reloads.succeeds()
        # A memcached that wants a login tells its version to everybody: that is not enough.
        outdated = "mcproxy_upstream_links_outdated"
        eventually("the links of before serve on", lambda: program.metric(outdated, protocol="binary") == 2)
        (line,) = eventually("it is in the log", lambda: program.events("upstream_not_renewed"))
        assert line["reason"] == "it wants a login"
        failures = "mcproxy_upstream_failures_total"
        assert program.metric(failures, reason="tls") == 0
        reloads.settings["upstream"]["tls"] = upstream_tls(certificates)
        reloads.succeeds()
        eventually("none opens without our certificate", lambda: program.metric(failures, reason="tls") > 0)
        assert answer_in_binary(program).status == packets.NOT_FOUND, "upstream is who it was"
        assert program.metric(outdated, protocol="binary") == 2
        reloads.settings["upstream"]["tls"]["server_name"] = "elsewhere.example"
        reloads.succeeds()
        eventually("they end with what upstream was trusted by", lambda: program.http("/readyz")[0] == 503)
        assert answer_in_binary(program).status == packets.UNAVAILABLE
        reloads.settings["upstream"] |= {"tls": tls, "login": sasl_login("SCRAM-SHA-256", file)}
        reloads.succeeds()
        ready(program)
        assert answer_in_binary(program).status == packets.NOT_FOUND


def test_a_password_that_has_changed(start_proxy: StartProxy, short_path: Callable[[], Path]) -> None:
    """Changed at upstream, then in our file: service is back with a reload, and without a restart (case 49)."""
    directory = short_path()
    upstream = with_sasl(directory, {"gateway": OLD})
    # There it is at the same address when it is started again.
    upstream.tcp = False
    with upstream:
        file = password_file(short_path())
        program = start_binary(start_proxy, upstream, "SCRAM-SHA-256", file)
        ready(program)
        with program.logged_in_binary("sammy") as connection:
            assert connection.ask(packet(packets.GETK, b"app:a")).status == packets.NOT_FOUND
            upstream.stop()
            eventually("it is noticed", lambda: answer_in_binary(program).status == packets.UNAVAILABLE)
            set_password(directory, NEW)
            upstream.start()
            eventually("the login is refused", lambda: answer_in_binary(program).value == REFUSED)
            assert connection.ask(packet(packets.GETK, b"app:a")).value == REFUSED, "the client's session goes on"
        status, page = program.http("/readyz")
        assert (status, page) == (503, NO_LINK % "binary" + "\n")
        assert program.http("/healthz")[0] == 200
        assert program.metric("mcproxy_upstream_failures_total", reason="login", upstream="upstream") > 0
        lines = [line for line in program.events("upstream_unavailable") if line["reason"].startswith("login refused")]
        assert len(lines) == 1, lines
        replace(file, NEW)
        reloads = Reloads(program)
        reloads.sighup()
        ready(program)
        assert answer_in_binary(program).status == packets.NOT_FOUND


def set_password(directory: Path, password: str) -> None:
    command = ["saslpasswd2", "-p", "-a", "memcached", "-f", str(directory / "sasldb2"), "gateway"]
    subprocess.run(command, input=password.encode(), check=True)


def test_a_wrong_new_password_leaves_the_links_of_before(
    start_proxy: StartProxy, short_path: Callable[[], Path]
) -> None:
    with with_token(short_path(), {"gateway": OLD}) as upstream:
        file = password_file(short_path())
        login = token_login(file)
        program = start_proxy(
            upstream.address, upstream={"login": login, "protocol": "text"}, listeners=listeners("text")
        )
        ready(program)
        replace(file, "not-the-password")
        reloads = Reloads(program)
        reloads.sighup()
        outdated = "mcproxy_upstream_links_outdated"
        eventually("the metric says so", lambda: program.metric(outdated, upstream="upstream", protocol="text") == 2)
        assert program.http("/readyz")[0] == 200
        not_renewed = partial(program.events, "upstream_not_renewed", upstream="upstream", protocol="text")
        (line,) = eventually("it is in the log", not_renewed)
        assert line["links_of_before"] == 2
        with program.logged_in("root") as connection:
            play(connection, b"set app:a 0 0 1\r\nx\r\nget app:a\r\n", b"STORED\r\nVALUE app:a 0 1\r\nx\r\nEND\r\n")
            # It would have to log in, and clients must not make us guess.
            play(connection, b"stats\r\n", b"SERVER_ERROR " + REFUSED + b"\r\n")
        replace(file, OLD)
        reloads.sighup()
        eventually("the metric says so", lambda: program.metric(outdated) == 0)
        assert program.metric("mcproxy_upstream_links", protocol="text") == 2
        assert not program.events("upstream_link_lost")
        with program.logged_in("root") as connection:
            connection.send(b"stats\r\n")
            assert connection.line().startswith(b"STAT pid ")


def test_a_guard_that_wants_scram(
    start_proxy: StartProxy, memcached: Memcached, short_path: Callable[[], Path], certificates: Certificates
) -> None:
    """Two programs. The login is bound to the TLS between them, and follows a password that has changed."""
    bound = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"]
    where = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "tls": server_tls(certificates)}
    guarded = {"guard": {**where, "authentication": ["sasl"], "mechanisms": bound}}
    guarding = start_proxy(memcached.address, listeners=guarded, grants=[{"user": "gateway", "roles": ["everything"]}])
    at_the_guard = Reloads(guarding)
    replace(at_the_guard.users, users_text({"gateway": OLD, "root": NEW}))
    at_the_guard.sighup()
    file = password_file(short_path())
    login = sasl_login("SCRAM-SHA-256-PLUS", file)
    how = {"tls": upstream_tls(certificates), "login": login, "timeout": "2s"}
    program = start_proxy(guarding.address("guard"), upstream=how)
    serves(program)
    replace(at_the_guard.users, users_text({"gateway": NEW, "root": NEW}))
    at_the_guard.sighup()
    eventually("its sessions are ended, and new ones refused", lambda: program.http("/readyz")[0] == 503)
    eventually("it says so", lambda: NO_LINK % "text" in program.http("/readyz")[1])
    replace(file, NEW)
    Reloads(program).sighup()
    serves(program)
    assert ITERATIONS >= 4096


def test_the_password_is_nowhere(start_proxy: StartProxy, short_path: Callable[[], Path]) -> None:
    """Neither the one that is right nor the one that is wrong: with debug logging, refused and accepted."""
    secrets = [OLD, "a-password-that-is-wrong"]
    with with_token(short_path(), {"gateway": OLD}) as upstream:
        file = password_file(short_path(), secrets[1])
        how = {"login": token_login(file), "protocol": "text", "timeout": "1s"}
        logging = {"level": "debug", "format": "json"}
        program = start_proxy(upstream.address, upstream=how, listeners=listeners("text"), logging=logging, workers=2)
        eventually("it is refused", lambda: program.metric("mcproxy_upstream_failures_total", reason="login") > 0)
        pages = [program.http(path)[1] for path in ("/metrics", "/readyz", "/healthz")]
        replace(file, OLD)
        Reloads(program).sighup()
        ready(program, links=4)
        pages += [program.http(path)[1] for path in ("/metrics", "/readyz", "/healthz")]
        processes = [program.pid] + [record["process"] for record in program.events("worker_started")]
        for process in processes:
            for name in ("cmdline", "environ"):
                pages.append(Path(f"/proc/{process}/{name}").read_text(errors="replace"))
        everything = "\n".join([*program.log, *pages])
        for secret in secrets:
            for spelled in (secret, base64.b64encode(f"\0gateway\0{secret}".encode()).decode(), secret.encode().hex()):
                assert spelled not in everything
