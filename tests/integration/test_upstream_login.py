"""Case 26: an upstream that suddenly wants a login. Its word never reaches the client, who would log in here again."""

import pytest

from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.canonical import Frame
from tests.support.fake_upstream import Action, FakeUpstream, honest_script, reply
from tests.support.packets import with_key
from tests.support.proxy import Proxy
from tests.support.serving import serves
from tests.support.sockets import everything_within

CODES = [packets.GET, packets.GETKQ, packets.SET, packets.SETQ, packets.DELETEQ, packets.INCR, packets.TOUCH]


@pytest.fixture
def behind(start_proxy: StartProxy, faulty: FakeUpstream) -> Proxy:
    """A program for each test: one that is asked for a login again and again waits longer each time."""
    faulty.script = honest_script
    program = start_proxy(faulty.address, upstream={"links": 1})
    serves(program)
    return program


@pytest.mark.parametrize("code", [*CODES, packets.GATK], ids=hex)
def test_an_authentication_error_in_mid_session(behind: Proxy, faulty: FakeUpstream, code: int) -> None:
    def script(frame: Frame, honest: bytes) -> list[Action]:
        if frame.verb in ("NOOP", "VERSION"):
            return [honest]
        return [reply(frame.raw[1], frame.opaque, status=packets.AUTH_ERROR, value=b"Auth failure.")]

    faulty.script = script
    before = faulty.recording.connections
    with behind.logged_in_binary("sammy") as connection:
        faulty.recording.forget()
        answer = connection.ask(with_key(code, b"app:a", opaque=9))
        assert (answer.opcode, answer.status, answer.opaque) == (code, packets.UNAVAILABLE, 9), str(connection)
        assert everything_within(connection.socket, 0.02) == b""
        # It asked once, and did not ask again.
        assert len(faulty.recording.requests()) == 1
    faulty.script = honest_script
    serves(behind)
    assert faulty.recording.connections > before, "the link was kept"
