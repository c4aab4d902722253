"""Logins that are wrong, as a client sends them, timed from the decisive message to its answer."""

import base64
import re
import secrets
import socket
import struct
import time
from dataclasses import dataclass

HEADER = struct.Struct(">BBHBBHIIQ")
AUTH, STEP = 0x21, 0x22
PROOF_LENGTHS = {"SCRAM-SHA-256": 32, "SCRAM-SHA-512": 64, "SCRAM-SHA-1": 20}
MECHANISMS = ("PLAIN", "token", *PROOF_LENGTHS)
_FIRST = re.compile(rb"r=([^,]+),s=([^,]+),i=([0-9]+)")


@dataclass(frozen=True)
class Refused:
    """`seconds` of each message and its answer, the decisive one last; `answers` without salts and nonces."""

    seconds: tuple[float, ...]
    answers: tuple[bytes, ...]
    salt: bytes = b""


def packet(opcode: int, key: str, value: bytes) -> bytes:
    return HEADER.pack(0x80, opcode, len(key), 0, 0, 0, len(key) + len(value), 0, 0) + key.encode() + value


def read_packet(connection: socket.socket) -> tuple[bytes, bytes]:
    """Header and body."""
    received = b""
    while len(received) < 24 or len(received) < 24 + int.from_bytes(received[8:12]):
        received += read(connection)
    return received[:24], received[24:]


def read(connection: socket.socket) -> bytes:
    data = connection.recv(4096)
    if not data:
        raise ConnectionError("mcproxy closed the connection instead of answering")
    return data


def token(name: str, password: str) -> bytes:
    value = f"{name} {password}".encode()
    return b"set _ 0 0 %d\r\n%s\r\n" % (len(value), value)


def plain(name: str, password: str) -> bytes:
    return packet(AUTH, "PLAIN", f"\0{name}\0{password}".encode())


def try_wrong(connection: socket.socket, mechanism: str, name: str) -> Refused:
    """One login with a random secret. Raises OSError."""
    if mechanism == "token":
        message = token(name, secrets.token_hex(8))
        begun = time.perf_counter_ns()
        connection.sendall(message)
        answer = read(connection)
        ended = time.perf_counter_ns()
        return Refused(((ended - begun) / 1e9,), (answer,))
    if mechanism == "PLAIN":
        message = plain(name, secrets.token_hex(8))
        begun = time.perf_counter_ns()
        connection.sendall(message)
        answer = b"".join(read_packet(connection))
        ended = time.perf_counter_ns()
        return Refused(((ended - begun) / 1e9,), (answer,))
    return try_wrong_proof(connection, mechanism, name)


def try_wrong_proof(connection: socket.socket, mechanism: str, name: str) -> Refused:
    """SCRAM (RFC 5802): a proof is right or not, whatever it was made of, so a random one does."""
    first = packet(AUTH, mechanism, f"n,,n={name},r={secrets.token_urlsafe(18)}".encode())
    begun = time.perf_counter_ns()
    connection.sendall(first)
    header, body = read_packet(connection)
    between = time.perf_counter_ns()
    found = _FIRST.fullmatch(body)
    if found is None:
        raise ConnectionError(f"{mechanism}: not a server's first message: {header!r} {body!r}")
    nonce, salt, iterations = found.groups()
    proof = base64.b64encode(secrets.token_bytes(PROOF_LENGTHS[mechanism]))
    final = packet(STEP, mechanism, b"c=biws,r=" + nonce + b",p=" + proof)
    resumed = time.perf_counter_ns()
    connection.sendall(final)
    answer = b"".join(read_packet(connection))
    ended = time.perf_counter_ns()
    shown = header + b"r=(%d bytes),s=(%d bytes),i=%s" % (len(nonce), len(salt), iterations)
    return Refused(((between - begun) / 1e9, (ended - resumed) / 1e9), (shown, answer), salt)
