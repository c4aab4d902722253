"""Case 27 with an upstream that has us log in by SASL: what names another key or opaque reaches nobody."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.conversation import SERVER_ERROR
from tests.support.fake_upstream import FakeUpstream, honest_script, reply
from tests.support.gateway import sasl_login, secret_file
from tests.support.packets import HEADER, packet
from tests.support.proxy import Proxy
from tests.support.waiting import eventually

VALUE = b"value of a"


class WantsSasl(FakeUpstream):
    """Takes one login on each connection, whatever it is, before all else."""

    logins = 0

    def _serve(self, connection: socket.socket, number: int) -> None:
        login = connection.recv(4096)
        if not login:
            connection.close()
            return
        assert login[1] == packets.AUTH, "something went up before the login"
        connection.sendall(reply(packets.AUTH, HEADER.unpack_from(login)[7], value=b"Authenticated"))
        self.logins += 1
        super()._serve(connection, number)


@pytest.fixture(scope="module")
def running(start_proxy: StartProxy, short_path: Callable[[], Path]) -> Iterator[tuple[Proxy, WantsSasl]]:
    with WantsSasl() as upstream:
        upstream.store[b"app:a"] = VALUE
        login = sasl_login("PLAIN", secret_file(short_path()))
        how = {"links": 1, "timeout": "300ms", "protocol": "binary", "login": login}
        yield start_proxy(upstream.address, upstream=how), upstream
    upstream.recording.check()


def asked(program: Proxy, protocol: str) -> bytes:
    """The value, or the error as the text protocol has it."""
    if protocol == "binary":
        with program.logged_in_binary("sammy") as binary:
            answer = binary.ask(packet(packets.GETK, b"app:a"))
            return answer.value if answer.status == packets.OK else b"SERVER_ERROR " + answer.value
    with program.logged_in("sammy") as connection:
        connection.send(b"get app:a\r\n")
        line = connection.line()
        return connection.line().strip() if line.startswith(b"VALUE app:a ") else line


WRONG: dict[str, dict[str, int | bytes]] = {
    "another key": {"key": b"app:b", "value": b"value of b"},
    "no key": {"key": b"", "value": b"value of b"},
    "another opaque": {"opaque": 0xDEAD},
    "the login's opaque": {"opaque": 0x6D630001},
    "another opcode": {"opcode": packets.GET},
    "the login's opcode": {"opcode": packets.AUTH, "key": b"", "extras": b"", "value": b"Authenticated"},
}


@pytest.mark.parametrize("protocol", ["text", "binary"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_reply_to_something_else(running: tuple[Proxy, WantsSasl], protocol: str, wrong: str) -> None:
    """It is never delivered, the link is dropped, and the next one logs in first."""
    program, upstream = running
    eventually("it is served", lambda: asked(program, protocol) == VALUE)
    logins = upstream.logins

    def script(frame, honest):  # type: ignore[no-untyped-def]
        if frame.verb != "GETK":
            return [honest]
        fields = {"opaque": frame.opaque, "key": b"app:a", "value": VALUE, "extras": bytes(4), **WRONG[wrong]}
        return [reply(fields.pop("opcode", packets.GETK), fields.pop("opaque"), **fields)]

    upstream.script = script
    answer = asked(program, protocol)
    upstream.script = honest_script
    assert answer.startswith(SERVER_ERROR.start), answer
    eventually("it is served again", lambda: asked(program, protocol) == VALUE)
    assert upstream.logins > logins
