"""Holding the conversations of harmful_inputs.py, with memcached itself or with the program."""

from tests.support import packets
from tests.support.conversation import Connection
from tests.support.harm_table import as_line
from tests.support.harmful_inputs import Harm
from tests.support.memcached import Memcached
from tests.support.packets import packet

SILENCE = 0.5
"""Seconds without an answer that count as silence. It is waited for only where silence is what was measured."""
NOOP = packet(packets.NOOP, opaque=packets.IN_STEP)


def prepare(memcached: Memcached, setup: bytes) -> None:
    """Empty it, then have it answer the setup."""
    with Connection(memcached.connect()) as connection:
        connection.send(b"flush_all\r\n")
        assert connection.line() == b"OK\r\n"
        connection.send(setup + b"mn\r\n")
        while connection.line() != b"MN\r\n":
            assert not connection.ended, str(connection)


def converse(connection: Connection, harm: Harm, end: str) -> tuple[bytes, str]:
    """What comes back, in lines, until the probe is answered, the connection ends, or nothing more comes."""
    if end == "silence":
        connection.socket.settimeout(SILENCE)
    probe = NOOP if harm.binary else b"mn\r\n"
    if harm.pieces:
        connection.send(harm.sent, harm.pieces)
        connection.send(probe)
    else:
        connection.send_while_reading(harm.sent + probe)
    said = b""
    while True:
        if harm.binary:
            header = connection.receive(24)
            if len(header) < 24:
                return said, "closed" if connection.ended else "silence"
            found, key, body = packets.read_header(header)
            data = connection.receive(body)
            if found.opaque == packets.IN_STEP:
                return said, "in step"
            extras = len(found.extras)
            said += as_line(
                packets.Response(
                    found.opcode, found.status, 0, 0, b"", data[extras : extras + key], data[extras + key :]
                )
            )
        else:
            line = connection.line()
            if line == b"MN\r\n":
                return said, "in step"
            said += line
            if not line.endswith(b"\n"):
                return said, "closed" if connection.ended else "silence"


def until(connection: Connection, last: bytes) -> bytes:
    """All lines up to this one, or to the end."""
    said = b""
    while not said.endswith(last) and (line := connection.line()):
        said += line
    return said
