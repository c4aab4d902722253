"""Grants (cases 44, 62, 65, 66): what nobody granted is denied, the same in text and in binary."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.conftest import StartProxy
from tests.support import packets
from tests.support.certificates import Certificates
from tests.support.configuration import PASSWORDS, configuration, server_tls, write_configuration, write_users
from tests.support.conversation import DENIED, play
from tests.support.packets import packet
from tests.support.proxy import Proxy
from tests.support.tap import Tap

# Verb: the classes it needs, its line (or line and block), and its binary twins.
VERBS: dict[str, tuple[set[str], bytes, list[int]]] = {
    "get": ({"read"}, b"get %s", [packets.GET, packets.GETK, packets.GETQ, packets.GETKQ]),
    "gets": ({"read"}, b"gets %s", []),
    "gat": ({"read", "touch"}, b"gat 0 %s", [packets.GAT, packets.GATQ, packets.GATK, packets.GATKQ]),
    "gats": ({"read", "touch"}, b"gats 0 %s", []),
    "set": ({"write"}, b"set %s 0 0 1\r\nx", [packets.SET, packets.SETQ]),
    "add": ({"write"}, b"add %s 0 0 1\r\nx", [packets.ADD, packets.ADDQ]),
    "replace": ({"write"}, b"replace %s 0 0 1\r\nx", [packets.REPLACE, packets.REPLACEQ]),
    "append": ({"write"}, b"append %s 0 0 1\r\nx", [packets.APPEND, packets.APPENDQ]),
    "prepend": ({"write"}, b"prepend %s 0 0 1\r\nx", [packets.PREPEND, packets.PREPENDQ]),
    "cas": ({"write"}, b"cas %s 0 0 1 1\r\nx", []),
    "incr": ({"counter"}, b"incr %s 1", [packets.INCR, packets.INCRQ]),
    "decr": ({"counter"}, b"decr %s 1", [packets.DECR, packets.DECRQ]),
    "delete": ({"delete"}, b"delete %s", [packets.DELETE, packets.DELETEQ]),
    "touch": ({"touch"}, b"touch %s 0", [packets.TOUCH]),
}
KEYLESS: dict[str, tuple[str, bytes, list[int]]] = {
    "flush_all": ("flush", b"flush_all", [packets.FLUSH, packets.FLUSHQ]),
    "stats": ("stats", b"stats", [packets.STAT]),
    "stats settings": ("inspect", b"stats settings", [packets.STAT]),
    "stats items": ("inspect", b"stats items", [packets.STAT]),
    "stats reset": ("admin", b"stats reset", [packets.STAT]),
    "stats detail on": ("admin", b"stats detail on", [packets.STAT]),
    "verbosity": ("admin", b"verbosity 0", []),
}
ALL = {"read", "touch", "write", "counter", "delete", "flush", "stats", "inspect", "admin"}
APP = {"read", "write", "counter", "touch", "delete"}
USERS: dict[str, tuple[set[str], bytes]] = {
    "sammy": (APP, b"app:"),
    "reader": ({"read"}, b"app:"),
    "root": (ALL, b""),
    "watcher": ({"stats"}, b""),
    "nobody": (set(), b""),
}
KEYS = [
    b"app:",
    b"app:a",
    b"app:" + b"k" * 246,
    b"app:\xff",
    b"app",
    b"ap",
    b"App:a",
    b"xapp:a",
    b"\xffapp:a",
    b"app;a",
]


def may(user: str, needed: set[str], key: bytes) -> bool:
    """The rule, written down a second time."""
    classes, prefix = USERS[user]
    return needed <= classes and key[: len(prefix)] == prefix


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_gets_the_same_verdict_in_text_and_binary(proxy: Proxy, tap: Tap, verb: str, user: str) -> None:
    needed, line, opcodes = VERBS[verb]
    text, binary = proxy.logged_in(user), proxy.logged_in_binary(user)
    for key in KEYS:
        tap.recording.forget()
        text.send(line % key + b"\r\n")
        first = text.line()
        if first.startswith(b"VALUE"):
            text.receive(int(first.split()[3]) + len(b"\r\nEND\r\n"))
        text.in_step()
        verdicts = {"text": first != DENIED}
        for opcode in opcodes:
            binary.send(packets.with_key(opcode, key, opaque=1) + packet(packets.NOOP, opaque=packets.IN_STEP))
            status = packets.OK
            if (answer := binary.response()).opcode != packets.NOOP:
                status = answer.status
                assert binary.response().opaque == packets.IN_STEP
            verdicts[f"opcode {opcode:#04x}"] = status != packets.DENIED
        expected = may(user, needed, key)
        assert verdicts == dict.fromkeys(verdicts, expected), f"{user} {verb} {key!r}"
        assert bool(tap.recording.requests()) == expected


@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("name", KEYLESS)
def test_commands_without_a_key(proxy: Proxy, tap: Tap, name: str, user: str) -> None:
    needed, line, opcodes = KEYLESS[name]
    expected = may(user, {needed}, b"")
    with proxy.logged_in(user) as connection:
        connection.send(line + b"\r\n")
        answer = connection.line()
        assert (answer != DENIED) == expected, f"{answer!r}\n{connection}"
        while answer.startswith(b"STAT "):
            answer = connection.line()
        connection.in_step()
    for opcode in opcodes:
        key = b" ".join(line.split()[1:]) if opcode == packets.STAT else b""
        with proxy.logged_in_binary(user) as connection:
            connection.send(packet(opcode, key) + packet(packets.NOOP, opaque=packets.IN_STEP))
            answers = [connection.response()]
            while answers[-1].opaque != packets.IN_STEP:
                answers.append(connection.response())
            denied = [answer for answer in answers if answer.status == packets.DENIED]
            assert (len(denied), len(answers)) == (1, 2) if not expected else not denied, str(connection)
    assert bool(tap.recording.requests()) == expected


@pytest.mark.parametrize("verb", ["get", "gets", "gat 0", "gats 0"])
@pytest.mark.parametrize("count", [2, 3, 150])
def test_a_multi_get_of_allowed_and_denied_keys_is_denied_whole(proxy: Proxy, tap: Tap, verb: str, count: int) -> None:
    with proxy.logged_in("sammy") as connection:
        play(connection, b"set app:k 0 0 1\r\nx\r\n", b"STORED\r\n")
        tap.recording.forget()
        for foreign in (0, count // 2, count - 1):
            keys = [b"app:k"] * count
            keys[foreign] = b"other:k"
            play(connection, verb.encode() + b" " + b" ".join(keys) + b"\r\n", DENIED)
    assert tap.recording.requests() == []


def test_a_denied_block_is_swallowed(proxy: Proxy, tap: Tap) -> None:
    with proxy.logged_in("sammy") as connection:
        sent = b"set other:k 0 0 18\r\nget app:a\r\nversion\r\nadd other:k 0 0 2 noreply\r\nmn\r\n"
        play(connection, sent, DENIED)
    assert tap.recording.requests() == []


def test_every_truncation_of_a_pipeline(proxy: Proxy, tap: Tap) -> None:
    """Only whole vetted lines go up: the second line asks for a key that is not granted (case 62)."""
    sent = b"get app:a\r\nget app:b x:c\r\n"
    for end in range(1, len(sent) + 1):
        tap.recording.forget()
        for connection in (proxy.logged_in("sammy"), proxy.logged_in("sammy", "socket")):
            connection.send(sent[:end])
            connection.finish_sending()
            answered = connection.rest()
            assert answered == b"END\r\n" * (end >= 11) + DENIED * (end == len(sent)), f"cut at {end}\n{connection}"
        assert [frame.raw for frame in tap.recording.requests()] == [b"get app:a\r\n"] * 2 * (end >= 11)


@pytest.fixture(scope="module")
def several_roles(start_proxy: StartProxy, tap: Tap) -> Proxy:
    return start_proxy(
        tap.address,
        roles={
            "read-a": {"commands": ["read"], "keys": ["a:*"]},
            "write-b": {"commands": ["write"], "keys": ["b:*", "c", "app:[x]*"]},
        },
        grants=[{"user": "sammy", "roles": ["read-a", "write-b"]}],
        default_roles=["read-a"],
    )


def test_roles_are_a_union_and_never_a_product(several_roles: Proxy) -> None:
    with several_roles.logged_in("sammy") as connection:
        for key, readable, writable in [
            (b"a:1", True, False),
            (b"b:1", False, True),
            (b"c", False, True),
            (b"c1", False, False),
            (b"app:x", False, False),
            (b"app:[x]1", False, True),
        ]:
            play(connection, b"set %s 0 0 1\r\nx\r\n" % key, b"STORED\r\n" if writable else DENIED)
            play(connection, b"get %s\r\n" % key, b"END\r\n" if readable else DENIED)
            play(connection, b"gat 0 %s\r\n" % key, DENIED)
    with several_roles.logged_in("reader") as connection:  # of the users file, without a grant: the default roles
        play(connection, b"get a:1\r\nset b:1 0 0 1\r\nx\r\n", [b"END\r\n", DENIED])


@pytest.fixture(scope="module")
def strangers(start_proxy: StartProxy, tap: Tap, certificates: Certificates) -> Proxy:
    """Listeners whose methods nobody at all was granted, and default roles that would allow everything."""
    mutual = server_tls(certificates, client_ca=str(certificates.authority), client_certificate="required")
    loopback = {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.0/8"]}
    return start_proxy(
        tap.address,
        default_roles=["everything"],
        grants=[
            {"address": "127.9.9.9/32", "as": "legacy", "roles": ["app"]},
            {"certificate": "spiffe://test/somebody-else", "as": "web", "roles": ["app"]},
            {"peer": {"uid": os.getuid() + 1}, "as": "sidecar", "roles": ["app"]},
        ],
        listeners={
            "address": {**loopback, "authentication": ["address", "token"]},
            "certificate": {**loopback, "tls": mutual, "authentication": ["certificate", "token"]},
            "peer": {"bind": [f"unix:{tap.path.with_name('peer.sock')}"], "authentication": ["peer", "token"]},
        },
    )


@pytest.mark.parametrize("method", ["address", "certificate", "peer"])
def test_whom_no_grant_names_is_not_logged_in(strangers: Proxy, tap: Tap, method: str) -> None:
    """`default_roles` is for users of the file: an address, certificate or peer has to be named (case 65)."""
    tap.recording.forget()
    for request in (b"get app:a\r\n", b"set app:a 0 0 1\r\nx\r\n", b"flush_all\r\n"):
        with strangers.connect(method, certificate=method == "certificate") as connection:
            connection.send(request)
            answer = connection.line()
            assert answer == b"" or answer.startswith(b"CLIENT_ERROR"), str(connection)
    with strangers.connect(method, certificate=method == "certificate") as connection:
        connection.send(packet(packets.GET, b"app:a"))
        answer = connection.receive(24)
        assert answer == b"" or answer[6:8] == b"\0\x20", str(connection)
    assert tap.recording.requests() == []


def test_an_address_that_a_grant_names_has_its_roles_only(strangers: Proxy) -> None:
    with strangers.connect("address", source="127.9.9.9") as connection:
        play(connection, b"get app:a\r\nget other\r\n", [b"END\r\n", DENIED])


@pytest.mark.parametrize("command", ["run", "check"])
def test_classes_without_keys_need_all_keys(
    short_path: Callable[[], Path], certificates: Certificates, command: str
) -> None:
    """A role with such a class and less than all keys is a configuration error, and each is named (case 66)."""
    directory = short_path()
    classes = [["stats"], ["flush"], ["inspect"], ["admin"], ["read", "flush"], ["*"]]
    keys = [["app:*"], ["app:*", "b:*"], ["exact"], []]
    pairs = [{"commands": some, "keys": names} for some in classes for names in keys]
    roles: dict[str, object] = {f"half-{number}": pair for number, pair in enumerate(pairs)}
    whole = {
        "whole": {"commands": ["stats", "flush", "read"], "keys": ["*"]},
        "app": {"commands": sorted(APP), "keys": []},
    }
    grants = [{"user": "sammy", "roles": [*roles, *whole]}]
    settings = configuration(directory, "127.0.0.1:9", certificates, roles=roles | whole, grants=grants)
    write_users(directory / "users", PASSWORDS)
    write_configuration(directory / "mcproxy.yaml", settings)
    arguments = [sys.executable, "-m", "mcproxy", command, "--config", str(directory / "mcproxy.yaml")]
    result = subprocess.run(arguments, capture_output=True, text=True, timeout=20)
    assert result.returncode == 2, result.stderr
    lines = result.stderr.splitlines()
    assert all(line.startswith("mcproxy: ") for line in lines), result.stderr
    for name in roles:
        assert any(f"roles.{name}." in line or f"roles.{name}:" in line for line in lines), f"{name}: {result.stderr}"
    assert not any("roles.whole" in line or "roles.app" in line for line in lines), result.stderr
