"""SCRAM through the program, SASL over the text protocol, the token by `ms` (cases 31, 32, 37, 38, 40 and 41)."""

import itertools
from collections.abc import Iterator

import pytest
import scramp  # type: ignore[import-untyped]

from tests.integration.conftest import StartProxy, ends_well
from tests.support import packets
from tests.support.configuration import BEHIND, PASSWORDS
from tests.support.conversation import Connection
from tests.support.packets import AUTH, AUTH_ERROR, LIST_MECHS, STEP, packet, plain
from tests.support.proxy import Proxy, token
from tests.support.tap import Tap

NAME = "SCRAM-SHA-256"
_sources = (f"10.9.{high}.{low}" for high, low in itertools.product(range(256), range(1, 255)))


@pytest.fixture(scope="module")
def program(start_proxy: StartProxy, tap: Tap) -> Proxy:
    scram = {"bind": ["127.0.0.1:0"], **BEHIND, "authentication": ["sasl", "token"]}
    text = {**scram, "authentication": ["sasl"], "protocols": ["text"], "mechanisms": [NAME]}
    return start_proxy(tap.address, listeners={"scram": scram, "text": text})


@pytest.fixture
def proxy(program: Proxy, tap: Tap) -> Iterator[Proxy]:
    tap.recording.forget()
    yield program
    ends_well(program, tap)


def answers(connection: Connection, sent: bytes, expected: bytes) -> None:
    """`conversation.play` ends with a command, which nobody may send before a login."""
    connection.send(sent)
    assert connection.receive(len(expected)) == expected, str(connection)


def frame(data: bytes, name: bytes = b"") -> bytes:
    return b"sasl auth %s%d\r\n%s\r\n" % (name + b" " if name else b"", len(data), data)


def scram(connection: Connection, user: str = "sammy", password: str | None = None) -> bytes:
    """The last line."""
    client = scramp.ScramClient([NAME], user, PASSWORDS[user] if password is None else password)
    connection.send(frame(client.get_client_first().encode(), NAME.encode()))
    client.set_server_first(continued(connection))
    connection.send(frame(client.get_client_final().encode()))
    answer = connection.line()
    if answer.startswith(b"SASL_CONTINUE"):
        client.set_server_final(rest_of(connection, answer))
        connection.send(frame(b""))
        answer = connection.line()
    return answer


def continued(connection: Connection) -> str:
    return rest_of(connection, connection.line())


def rest_of(connection: Connection, line: bytes) -> str:
    word, length = line.split()
    assert word == b"SASL_CONTINUE", str(connection)
    data = connection.receive(int(length) + 2)
    assert data.endswith(b"\r\n")
    return data[:-2].decode()


@pytest.mark.parametrize("listener", ["scram", "text"])
def test_scram_over_the_text_protocol(proxy: Proxy, listener: str) -> None:
    listed = b"SASL_MECH SCRAM-SHA-256%s\r\n" % (b" PLAIN" if listener == "scram" else b"")
    with proxy.connect(listener) as connection:
        answers(connection, b"sasl mech\r\n", listed)
        assert scram(connection) == b"SASL_OK\r\n", str(connection)
        answers(connection, b"set app:s 0 0 1\r\nx\r\nget app:s\r\n", b"STORED\r\nVALUE app:s 0 1\r\nx\r\nEND\r\n")
        answers(connection, b"sasl mech\r\nmn\r\n", listed + b"MN\r\n")


def test_logging_in_again(proxy: Proxy, tap: Tap) -> None:
    with proxy.connect("scram", source=next(_sources)) as connection:
        assert scram(connection, "reader") == b"SASL_OK\r\n"
        answers(connection, b"set app:s 0 0 1\r\nx\r\n", b"CLIENT_ERROR access denied\r\n")
        assert scram(connection, "root") == b"SASL_OK\r\n"
        answers(connection, b"set app:s 0 0 1\r\nx\r\n", b"STORED\r\n")
        message = b"\0reader\0" + PASSWORDS["reader"].encode()
        answers(connection, frame(message, b"PLAIN") + b"mn\r\n", b"SASL_OK\r\nMN\r\n")
        tap.recording.forget()
        assert scram(connection, "root", "wrong") == b"AUTH_ERROR\r\n"
        answers(connection, b"get app:s\r\n", b"CLIENT_ERROR unauthenticated\r\n")
        assert tap.recording.requests() == []


def test_a_data_block_of_sasl_is_never_a_command(proxy: Proxy, tap: Tap) -> None:
    for listener in ("scram", "plain"):  # the second offers another mechanism
        with proxy.logged_in("root", listener, source=next(_sources)) as connection:
            tap.recording.forget()
            answers(connection, frame(b"flush_all\r\nmn", NAME.encode()), b"AUTH_ERROR\r\n")
        assert tap.recording.requests() == []


def test_a_wrong_proof_and_an_unknown_user_get_the_same(proxy: Proxy) -> None:
    seen = []
    for user, password in (("sammy", "wrong"), ("nobody-at-all", "wrong")):
        with proxy.connect("scram", source=next(_sources)) as connection:
            client = scramp.ScramClient([NAME], user, password)
            first = connection.ask(packet(AUTH, NAME.encode(), client.get_client_first().encode()))
            client.set_server_first(first.value.decode())
            final = connection.ask(packet(STEP, NAME.encode(), client.get_client_final().encode()))
            seen.append((first.status, len(first.value), client.iterations, final.shape))
            assert connection.ask(packet(LIST_MECHS)).value == b"SCRAM-SHA-256 PLAIN"
    assert seen[0] == seen[1]
    assert seen[0][3] == (AUTH_ERROR, b"Auth failure.")


@pytest.mark.parametrize("command", [packet(packets.NOOP), packet(packets.GET, b"app:a"), packet(packets.VERSION)])
def test_a_command_before_the_last_empty_step(proxy: Proxy, tap: Tap, command: bytes) -> None:
    client = scramp.ScramClient([NAME], "sammy", PASSWORDS["sammy"])
    begin = packet(AUTH, NAME.encode(), client.get_client_first().encode())
    with proxy.connect("scram", source=next(_sources)) as connection:
        client.set_server_first(connection.ask(begin).value.decode())
        final = packet(STEP, NAME.encode(), client.get_client_final().encode())
        client.set_server_final(connection.ask(final).value.decode())
        assert connection.ask(command).status == AUTH_ERROR
        assert connection.rest() == b""
    with proxy.connect("scram", source=next(_sources)) as connection:  # what was overheard, sent again
        assert connection.ask(begin).status == packets.AUTH_CONTINUE
        assert connection.ask(final).status == AUTH_ERROR
        assert connection.ask(packet(STEP, NAME.encode())).status == AUTH_ERROR
    assert tap.recording.requests() == []


@pytest.mark.parametrize(
    "message",
    [
        b"n,,n=sammy,n=sammy,r=abc",
        b"n,,n=sammy,r=abc,m=1",
        b"n,,m=1,n=sammy,r=abc",
        b"n,,n=sammy,r=" + b"x" * 4000,
        b"p=tls-server-end-point,,n=sammy,r=abc",
        b"n,a=root,n=sammy,r=abc",
    ],
)
def test_first_messages_that_are_refused(proxy: Proxy, message: bytes) -> None:
    with proxy.connect("scram", source=next(_sources)) as connection:
        assert connection.ask(packet(AUTH, NAME.encode(), message)).shape == (AUTH_ERROR, b"Auth failure.")
        assert connection.ask(plain("sammy", PASSWORDS["sammy"])).status == 0
    with proxy.connect("scram", source=next(_sources)) as connection:
        connection.send(packet(AUTH, NAME.encode(), b"n,,n=sammy,r=" + b"x" * 65536))
        assert len(connection.rest()) <= 1024


def test_external_without_a_certificate(proxy: Proxy) -> None:
    for name in (b"EXTERNAL", b"SCRAM-SHA-256-PLUS"):
        with proxy.connect("tls") as connection:
            assert name not in connection.ask(packet(LIST_MECHS)).value
            assert connection.ask(packet(AUTH, name, b"web")).status == AUTH_ERROR


@pytest.mark.parametrize("line", [b"ms _", b"ms app:k"])
@pytest.mark.parametrize("flags", [b"", b" q"])
def test_the_token_by_a_meta_command(proxy: Proxy, tap: Tap, line: bytes, flags: bytes) -> None:
    value = b"sammy " + PASSWORDS["sammy"].encode()

    def login(value: bytes) -> bytes:
        return line + b" %d" % len(value) + flags + b"\r\n" + value + b"\r\n"

    with proxy.connect(source=next(_sources)) as connection:
        answers(connection, login(b"sammy wrong"), b"CLIENT_ERROR authentication failure\r\n")
        answers(connection, login(value), b"HD\r\n")
        # Sent again, by either command, it isn't stored.
        answers(connection, login(value) + token("sammy", head=b"set app:k 0 0"), b"HD\r\nSTORED\r\n")
        answers(connection, b"get app:k\r\n", b"END\r\n")
    assert all(value not in request.raw for request in tap.recording.frames())
