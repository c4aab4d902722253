"""A protocol that a reload takes from all listeners: its links are nobody's any more, and no trouble."""

from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from tests.integration.conftest import StartProxy
from tests.support.configuration import LOOPBACK
from tests.support.conversation import play
from tests.support.memcached import Memcached
from tests.support.proxy import Proxy
from tests.support.reloading import Reloads
from tests.support.waiting import eventually

TEXT = {"protocols": ["text"], "authentication": ["token"]}
BINARY = {"protocols": ["binary"], "authentication": ["sasl"], "mechanisms": ["PLAIN"]}


def links_of(program: Proxy) -> dict[str, float]:
    """By protocol; one that isn't told of isn't there."""
    families = text_string_to_metric_families(program.http("/metrics")[1])
    [samples] = [family.samples for family in families if family.name == "mcproxy_upstream_links"]
    return {sample.labels["protocol"]: sample.value for sample in samples}


def test_links_end_that_nobody_needs_and_come_back_when_they_are_needed(
    start_proxy: StartProxy, short_path: Callable[[], Path]
) -> None:
    """An upstream that takes no binary keeps nobody from being ready once no client may speak it."""
    only = {"bind": ["127.0.0.1:0"], "allow": LOOPBACK}
    listeners = {"plain": only | TEXT, "tls": None, "socket": None}
    with Memcached(short_path(), "-B", "ascii") as upstream:
        program = start_proxy(
            upstream.address, listeners=listeners, upstream={"links": 1, "timeout": "300ms"}, watch_files=False
        )
        eventually("it is ready", lambda: program.http("/readyz") == (200, "ready\n"))
        reloads = Reloads(program)
        client = program.logged_in()
        reloads.settings["listeners"]["plain"] = only | BINARY
        reloads.succeeds()
        assert client.rest() == b""
        eventually("text's links end", lambda: program.metric("mcproxy_upstream_links") == 0)
        assert links_of(program) == {"binary": 0}
        obstacle = program.http("/readyz")[1]
        assert "(binary)" in obstacle
        assert "(text)" not in obstacle
        eventually("binary's fail", lambda: program.metric("mcproxy_upstream_failures_total") > 0)
        reloads.settings["listeners"]["plain"] = only | TEXT
        reloads.succeeds()
        eventually("it is ready again", lambda: program.http("/readyz") == (200, "ready\n"))
        eventually("text's links are back", lambda: program.metric("mcproxy_upstream_links") == 1)
        play(program.logged_in(), b"get none\r\n", b"END\r\n")
        assert links_of(program) == {"text": 1}
        reloads.settings["listeners"]["plain"] = only | BINARY
        reloads.succeeds()
        assert links_of(program) == {"binary": 0}
