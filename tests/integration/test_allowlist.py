"""The allowlist (case 45): a source that is not on the list is closed before a byte is answered, and counted."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.configuration import configuration
from tests.support.conversation import Connection, play
from tests.support.packets import packet
from tests.support.proxy import Proxy, token
from tests.support.tap import Tap
from tests.support.waiting import eventually

# Listener: what it binds, whom it allows, who comes in and who doesn't.
LISTS: dict[str, tuple[str, list[str], list[str], list[str]]] = {
    "one": ("127.0.0.1:0", ["127.0.0.1"], ["127.0.0.1"], ["127.0.0.2", "127.0.1.1"]),
    "slash32": ("127.0.0.1:0", ["127.0.0.2/32"], ["127.0.0.2"], ["127.0.0.1", "127.0.0.3"]),
    "network": ("127.0.0.1:0", ["127.0.4.0/22"], ["127.0.4.0", "127.0.7.255"], ["127.0.3.255", "127.0.8.0"]),
    "overlapping": (
        "127.0.0.1:0",
        ["127.0.0.0/30", "127.0.0.2/31", "127.0.0.1"],
        ["127.0.0.1", "127.0.0.2", "127.0.0.3"],
        ["127.0.0.4", "127.1.0.1"],
    ),
    "empty": ("127.0.0.1:0", [], [], ["127.0.0.1", "127.0.0.2"]),
    "slash128": ("[::1]:0", ["::1/128"], ["::1"], []),
    "another6": ("[::1]:0", ["::2/128", "fd00::/8", "127.0.0.0/8"], [], ["::1"]),
    "mapped": ("[::]:0", ["127.0.0.1/32"], ["127.0.0.1"], ["127.0.0.2", "::1"]),
    "mapped-rule": ("[::]:0", ["::ffff:127.0.0.1"], ["127.0.0.1"], ["127.0.0.2", "::1"]),
}
ADMITTED = [(name, source) for name, (_, _, sources, _) in LISTS.items() for source in sources]
REFUSED = [(name, source) for name, (_, _, _, sources) in LISTS.items() for source in sources]


@pytest.fixture(scope="module")
def listening(start_proxy: StartProxy, tap: Tap) -> Proxy:
    listeners: dict[str, object] = {"tls": None}
    for name, (bind, allow, _, _) in LISTS.items():
        # [::] is no loopback address, so plain text has to be asked for.
        more = {"plaintext": True, "plaintext_passwords": True} if "[::]" in bind else {}
        listeners[name] = {"bind": [bind], "allow": allow, "authentication": ["sasl", "token"], **more}
    return start_proxy(tap.address, listeners=listeners)


def connect(program: Proxy, listener: str, source: str) -> Connection:
    """From `source` to the listener, over IPv4 also where it listens on [::]."""
    return program.connect(listener, source=source, host="::1" if ":" in source else "127.0.0.1")


@pytest.mark.parametrize(("listener", "source"), ADMITTED)
def test_a_source_on_the_list_may_log_in(listening: Proxy, listener: str, source: str) -> None:
    with connect(listening, listener, source) as connection:
        play(connection, token("sammy") + b"get app:a\r\n", b"STORED\r\nEND\r\n")


@pytest.mark.parametrize("sent", [b"", token("sammy"), packet(0x20), b"\x16\x03\x01"], ids=["", "token", "sasl", "tls"])
@pytest.mark.parametrize(("listener", "source"), REFUSED)
def test_a_source_off_the_list_is_closed_unanswered_and_counted(
    listening: Proxy, tap: Tap, listener: str, source: str, sent: bytes
) -> None:
    tap.recording.forget()
    labels = {"listener": listener, "reason": "not_allowed"}
    before = listening.metric("mcproxy_connections_refused_total", **labels)
    with connect(listening, listener, source) as connection:
        connection.send(sent)
        connection.expect_closed()
    assert listening.metric("mcproxy_connections_refused_total", **labels) == before + 1
    assert tap.recording.requests() == []


def refused(program: Proxy, listener: str, source: str) -> list[dict[str, Any]]:
    with connect(program, listener, source) as connection:
        connection.expect_closed()
    return program.events("connection_refused", listener=listener, source=source)


def test_refusals_are_logged_with_source_and_reason(listening: Proxy) -> None:
    for listener, source in (("slash32", "127.0.0.77"), ("mapped", "127.0.0.77")):
        # Ten refusals a second are logged, and other tests have had theirs: so until there is room for this one.
        found = eventually("the refusal is logged", functools.partial(refused, listening, listener, source))
        assert found[0]["reason"]


def test_refused_sources_do_not_disturb_others(listening: Proxy) -> None:
    with connect(listening, "one", "127.0.0.1") as good:
        play(good, token("sammy"), b"STORED\r\n")
        for _ in range(100):
            with connect(listening, "one", "127.0.0.2") as bad:
                bad.expect_closed()
        play(good, b"get app:a\r\n", b"END\r\n")


def test_a_listener_without_a_list_is_a_configuration_error(
    short_path: Callable[[], Path], certificates: Certificates
) -> None:
    """None listed, none admitted: that is to be said on purpose, as []."""
    settings = configuration(short_path(), "127.0.0.1:9", certificates)
    del settings["listeners"]["plain"]["allow"]
    program = Proxy(short_path(), settings, certificates)
    with pytest.raises(AssertionError, match="ended with status 2"):
        program.start()
    program.kill()
    assert any("listeners.plain.allow" in line for line in program.log), str(program)
