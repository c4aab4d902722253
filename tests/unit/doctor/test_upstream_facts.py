"""What upstreams tell, and what is made of it: numbers that can't be true, names, and those that tell nothing."""

import dataclasses
import socket

import pytest
import trio

from mcproxy.config.schema import Upstream
from mcproxy.doctor import names, upstream_udp
from mcproxy.doctor.names import resolved
from mcproxy.doctor.upstream_facts import UpstreamFacts, engine_of, upstream_facts
from mcproxy.doctor.upstream_holes import version
from mcproxy.doctor.upstream_reach import around
from mcproxy.doctor.upstream_udp import over_udp
from tests.unit.doctor.examining import deployment, told

LOGIN = {"method": "sasl", "mechanism": "PLAIN", "username": "app", "password_file": "/nonexistent/password"}
MANY = "9" * 5000
NAMED = {"address": "cache.example.com:11211", "plaintext": True}


@pytest.mark.parametrize("text", ["", "-1", "one", "\u0663", "4194305", MANY])
def test_what_is_no_number_of_a_process(text):
    assert UpstreamFacts(statistics={"pid": text}).pid is None


@pytest.mark.parametrize(("text", "port"), [("0", 0), ("11211", 11211), ("65536", None), (MANY, None), ("x", None)])
def test_ports(text, port):
    assert UpstreamFacts(settings={"udpport": text}).udp_port == port


@pytest.mark.parametrize("text", ["65536", MANY])
async def test_udp_on_a_port_that_there_is_not(monkeypatch, text):
    monkeypatch.setattr(upstream_udp, "PATIENCE", 0.01)
    [(verdict, seen)] = told(await over_udp(deployment(facts=UpstreamFacts(settings={"udpport": text}))))
    assert verdict == "finding"
    assert f"port {text[:20]} in its settings" in seen


def test_a_version_without_end():
    results = version(deployment(facts=UpstreamFacts(statistics={"version": f"1.{MANY}"})))
    assert told(results) == [("could not tell", "which memcached it is: it has no version among its statistics")]


SETTINGS = {"inter": "127.0.0.1"}


@pytest.mark.parametrize(
    ("upstream", "facts", "engine"),
    [
        ({}, UpstreamFacts(), "memcached"),
        ({"login": LOGIN}, UpstreamFacts(), "mcproxy"),
        ({"tls": {"ca": "/nonexistent/ca"}}, UpstreamFacts(), "mcproxy"),
        ({"login": LOGIN}, UpstreamFacts(settings=SETTINGS), "memcached"),
        ({"login": LOGIN}, UpstreamFacts(problem="it refuses the login"), "memcached"),
        ({"engine": "mcproxy"}, UpstreamFacts(settings=SETTINGS), "mcproxy"),
        ({"engine": "twemproxy"}, UpstreamFacts(), "twemproxy"),
    ],
)
async def test_another_mcproxy_need_not_be_called_so(upstream, facts, engine, monkeypatch):
    assert engine_of(Upstream(address="127.0.0.1:11211", **upstream), facts) == engine
    monkeypatch.setattr(upstream_udp, "PATIENCE", 0.01)
    settings = {"address": "127.0.0.1:11211", **upstream}
    examined = deployment({"protocols": ["text"]}, upstream=settings, facts=facts)
    verdicts = [
        told(results)[0][0] for results in (await around(examined), await over_udp(examined), version(examined))
    ]
    if engine != "memcached":
        assert verdicts == ["note", "note", "note"]


async def test_a_name_is_asked_for_once(monkeypatch):
    asked = []

    async def getaddrinfo(host, *_, **__):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.5", 0))] * 2

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    upstreams = {"one": NAMED, "two": NAMED, "three": {"address": "10.0.0.9:11211", "plaintext": True}}
    listener = {"upstream": "one"}
    settings = deployment(listener, upstream=None, upstreams=upstreams).settings
    assert await resolved(settings) == {"cache.example.com": ("10.0.0.5",), "10.0.0.9": ("10.0.0.9",)}
    assert asked == ["cache.example.com"]


async def test_a_silent_name_server_holds_up_nobody(monkeypatch, autojump_clock):
    async def getaddrinfo(*_, **__):
        await trio.sleep_forever()

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    examined = deployment(upstream=NAMED)
    began = trio.current_time()
    hosts = await resolved(examined.settings)
    assert (hosts, trio.current_time() - began) == ({"cache.example.com": ()}, names.PATIENCE)


async def test_a_name_that_can_not_be_resolved_is_told():
    examined = deployment(upstream=NAMED)
    hosts = {"cache.example.com": ()}
    facts = await upstream_facts(examined.settings, hosts)
    assert facts["upstream"].problem == "the name cache.example.com can't be resolved"
    unresolved = dataclasses.replace(examined, hosts=hosts, upstreams=facts)
    assert told(await around(unresolved)) == [("could not tell", "the name cache.example.com can't be resolved")]
