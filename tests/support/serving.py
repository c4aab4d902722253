"""Whether the program serves: asked again and again, since it waits between its attempts to connect."""

from tests.support import packets
from tests.support.packets import packet
from tests.support.proxy import Proxy
from tests.support.waiting import eventually


def serves(program: Proxy) -> None:
    """Both protocols are served again, correctly, within the waits between attempts to connect."""

    last: list[str] = []

    def text() -> bool:
        with program.logged_in("sammy") as connection:
            connection.send(b"set app:a 0 0 10\r\nvalue of a\r\nget app:a\r\n")
            answers = connection.line(), connection.line()
            last[:] = [str(connection)]
            if answers[0] != b"STORED\r\n" or answers[1].startswith(b"SERVER_ERROR"):
                return False
            assert answers[1] + connection.receive(17) == b"VALUE app:a 0 10\r\nvalue of a\r\nEND\r\n", str(connection)
            return True

    def binary() -> bool:
        with program.logged_in_binary("sammy") as connection:
            answer = connection.ask(packet(packets.GETK, b"app:a"))
            last[:] = [str(connection)]
            if answer.status == packets.UNAVAILABLE:
                return False
            assert (answer.key, answer.value) == (b"app:a", b"value of a"), str(connection)
            return True

    try:
        eventually("text requests are served", text)
        eventually("binary requests are served", binary)
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n{''.join(last)}\n{program}") from failure
