"""What is made sure of before anything is measured: that the generator notices wrong replies, that the proxy that
claims to check really refuses. Without these the fastest server would be one that answers anything to anybody."""

import contextlib
import socket
import ssl
import struct
import threading
from pathlib import Path

from bench.measure import Scenario, Target, arguments_for, run_generator
from bench.peers import KEY_PREFIX
from bench.processes import BenchError, connect

BODY = b"aaaaaaaaaaaaaaaaaaaa"
HEADER = struct.Struct(">BBHBBHIIQ")  # of a binary reply: magic, opcode, lengths, status, body, opaque, cas
# Of the reply to a get of a value of 20 bytes. %s becomes the key asked, or the opaque.
WRONG_REPLIES = {
    "text": {
        "another key's value": b"VALUE bench:99999999 0 20\r\n%s\r\nEND\r\n" % BODY,
        "a value of the wrong length": b"VALUE %%s 0 19\r\n%s\r\nEND\r\n" % BODY[1:],
        "a value with another's content": b"VALUE %%s 0 20\r\n%s\r\nEND\r\n" % BODY,
        "the reply to a set": b"STORED\r\n",
        "a reply too many": b"END\r\nEND\r\n",
    },
    "meta": {
        "a value of the wrong length": b"VA 19\r\n%s\r\n" % BODY[1:],
        "a value with another's content": b"VA 20\r\n%s\r\n" % BODY,
        "the reply to a set": b"HD\r\n",
        "a reply too many": b"EN\r\nEN\r\n",
    },
    "binary": {
        "another request's reply": HEADER.pack(0x81, 0, 0, 4, 0, 0, 24, 0x01010101, 0) + bytes(4) + b"%sopqrst",
        "a value of the wrong length": HEADER.pack(0x81, 0, 0, 4, 0, 0, 23, 0, 0) + bytes(4) + BODY[1:],
        "a value with another's content": HEADER.pack(0x81, 0, 0, 4, 0, 0, 24, 0, 0) + bytes(4) + BODY,
        "the reply to a set": HEADER.pack(0x81, 1, 0, 0, 0, 0, 0, 0, 0),
        "a reply too many": HEADER.pack(0x81, 0, 0, 0, 0, 1, 0, 0, 0) * 2,
    },
}


def answer(listening: socket.socket, reply: bytes) -> None:
    """A server with one answer, for one connection. %s in it becomes the key asked."""
    with contextlib.suppress(OSError):
        connection, _ = listening.accept()
        with connection:
            asked = connection.recv(4096)
            key = asked[24:] if asked.startswith(b"\x80") else asked.split()[1]
            connection.sendall(reply.replace(b"%s", key))
            connection.recv(4096)


def generator_notices(program: Path) -> None:
    """Raises BenchError if the generator takes any of these wrong replies for a good one."""
    for protocol, replies in WRONG_REPLIES.items():
        for name, reply in replies.items():
            must_notice(program, Scenario(1, 1, 20, reads=1, writes=0, protocol=protocol), name, reply)


def must_notice(program: Path, scenario: Scenario, name: str, reply: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(5)
        thread = threading.Thread(target=answer, args=(listening, reply))
        thread.start()
        target = Target(f"127.0.0.1:{listening.getsockname()[1]}", None, None, (), 0)
        try:
            run_generator(program, [*arguments_for(scenario, target), "--warmup=0", "--seconds=5"], 10)
        except BenchError as error:
            if "wrong reply" not in str(error) and "nobody asked" not in str(error):
                raise BenchError(
                    f"the generator, given {name} in {scenario.protocol}, failed otherwise: {error}"
                ) from error
        else:
            raise BenchError(f"the generator took {name} for a good reply in {scenario.protocol}")
        finally:
            thread.join()


def ask(address: str, certificate: Path | None, lines: list[bytes]) -> list[bytes]:
    """The first line that answers each of these; b"" when the connection was closed instead."""
    plain = connect(address)
    with contextlib.ExitStack() as stack:
        connection = stack.enter_context(plain)
        if certificate:
            context = ssl.create_default_context(cafile=str(certificate))
            connection = stack.enter_context(context.wrap_socket(plain, server_hostname="127.0.0.1"))
        file = stack.enter_context(connection.makefile("rb"))
        answers = []
        for line in lines:
            connection.sendall(line)
            answers.append(file.readline())
        return answers


def proxy_checks(name: str, target: Target) -> None:
    """Raises BenchError unless the proxy refuses a stranger, and refuses its user a key outside of his grant."""
    assert target.login is not None
    read = b"get %s00000000\r\n" % KEY_PREFIX.encode()
    stranger = ask(target.address, target.certificate, [read])[0]
    if stranger and b"ERROR" not in stranger:
        raise BenchError(f"{name} answers strangers ({stranger!r}): this would measure a proxy with its checks off")
    token = target.login.read_bytes().splitlines()[0]
    login = b"set auth 0 0 %d\r\n%s\r\n" % (len(token), token)
    welcome, allowed, outside = ask(
        target.address, target.certificate, [login, b"get bench:0000:none\r\n", b"get other\r\n"]
    )
    if welcome != b"STORED\r\n" or allowed != b"END\r\n":
        raise BenchError(f"{name} does not let its user in ({welcome!r}, {allowed!r})")
    if outside and b"ERROR" not in outside:
        raise BenchError(f"{name} answers for a key that was not granted ({outside!r}): its checks are off")
