"""/status.json from given figures: bounds, several workers' parts, and what is not known yet."""

import json
from pathlib import Path

import pytest
import trio
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from mcproxy.auth.users import Users
from mcproxy.config.load import loads
from mcproxy.observe.reloads import Reload
from mcproxy.observe.together import WorkerCount
from mcproxy.server.generation import make_generation
from mcproxy.server.status import MOST_PRINCIPALS, Look, Status
from mcproxy.server.status_part import NO_PART, obstacles_of

CONFIGURATION = """
listeners:
  a: {bind: ["127.0.0.1:1"], allow: [127.0.0.1], authentication: [address], upstream: one}
  b: {bind: ["unix:/run/b"], authentication: [peer], protocols: [binary], upstream: two}
upstreams:
  one: {address: "127.0.0.1:2", links: 3}
  two:
    address: "127.0.0.1:3"
    login: {method: sasl, mechanism: SCRAM-SHA-256, username: proxy, password_environment: PATH}
"""

FILES = [{"key": "configuration", "fingerprint": "5e" * 32}]


@pytest.fixture(scope="module")
def generation():
    return make_generation(1, loads(CONFIGURATION, Path("/etc/mcproxy.yaml"), check_machine=False), Users(()))


class Board:
    def __init__(self, generation):
        self.generation = generation
        self.status = Status({"a": ["127.0.0.1:1"]})

    def document(self, metrics=(), parts=(), workers=None, ready=None, last_reload=None):
        look = Look(self.generation, metrics, list(parts), workers or WorkerCount(), ready, last_reload, FILES)
        document = json.loads(self.status.body(look))
        assert self.status.body(look).isascii()
        return document


@pytest.fixture
def board(generation):
    return Board(generation)


def principals(count, requests=lambda number: number):
    sessions = GaugeMetricFamily("mcproxy_principal_sessions", "", labels=("kind", "principal"))
    asked = CounterMetricFamily("mcproxy_principal_requests", "", labels=("kind", "principal", "class"))
    for number in range(count):
        sessions.add_metric(("user", f"user{number}"), 1)
        for command_class in ("read", "write"):
            asked.add_metric(("user", f"user{number}", command_class), requests(number))
    return [sessions, asked]


def test_without_any_figures_it_is_whole(board):
    document = board.document()
    assert document["principals"] == []
    assert document["refusals"] == []
    assert document["files"] == [{"key": "configuration", "fingerprint": "5e" * 32}]
    assert document["last_reload"] is None
    assert document["saturation"]["busy"] is None
    assert [listener["name"] for listener in document["listeners"]] == ["a", "b"]


def test_links_of_each_pool(board):
    links = GaugeMetricFamily("mcproxy_upstream_links", "", labels=("upstream", "protocol"))
    links.add_metric(("one", "text"), 5)
    part = NO_PART | {"obstacles": [["one", "binary", "no connection"]]}
    one, two = board.document([links], [part, NO_PART], WorkerCount(configured=2, alive=2))["upstreams"]
    assert one["pools"] == [
        {"protocol": "binary", "links": 0, "wanted": 6, "outdated": 0, "obstacle": "no connection"},
        {"protocol": "text", "links": 5, "wanted": 6, "outdated": 0, "obstacle": None},
    ]
    assert [pool["protocol"] for pool in two["pools"]] == ["binary"]
    assert (one["login"], two["login"]) == (None, "sasl SCRAM-SHA-256 as proxy")


def test_of_several_obstacles_the_first_is_told():
    parts = [NO_PART | {"obstacles": [["one", "text", words]]} for words in ("no connection", "it wants a login")]
    assert obstacles_of(parts) == {("one", "text"): "no connection"}


def test_principals_are_bounded_and_the_busiest_come_first(board):
    document = board.document(principals(MOST_PRINCIPALS + 7))
    rows = document["principals"]
    assert len(rows) == MOST_PRINCIPALS
    assert document["principals_left_out"] == 7
    last = MOST_PRINCIPALS + 6
    first = {"kind": "user", "name": f"user{last}", "sessions": 1, "requests": 2 * last}
    assert rows[0] == first | {"hits": 0, "misses": 0, "denied": 0}


def test_texts_of_others_are_bounded_data(board):
    sessions = GaugeMetricFamily("mcproxy_principal_sessions", "", labels=("kind", "principal"))
    sessions.add_metric(("user", "\u202e" * 10_000), 1)
    document = board.document([sessions], ready="\x1b[2J" * 1000, last_reload=Reload(7.0, "half \ud800\n" * 1000))
    for text in (document["principals"][0]["name"], document["ready"], document["last_reload"]["problem"]):
        assert len(text) <= 200
        assert text.isprintable()


def test_what_drains_says_so(board):
    assert board.document(ready="draining")["draining"]
    assert not board.document(ready="no link to upstream")["draining"]


async def test_rates_and_busyness_come_from_samples(board, autojump_clock):
    requests, busy = 0, 0.0

    def metrics():
        nonlocal requests, busy
        requests, busy = requests + 10, busy + 1.0
        yield CounterMetricFamily("mcproxy_requests", "", value=requests)
        yield CounterMetricFamily("mcproxy_relay_busy_seconds", "", value=busy)

    with trio.move_on_after(7):
        await board.status.sample_forever(metrics)
    document = board.document(workers=WorkerCount(configured=2, alive=2))
    assert document["rates"]["series"]["requests"] == [5.0, 5.0, 5.0]
    assert document["saturation"]["busy"] == 0.25


async def test_a_fault_in_a_sample_costs_that_sample(board, autojump_clock):
    def metrics():
        raise ValueError("a bug")

    with trio.move_on_after(5):
        await board.status.sample_forever(metrics)
    assert board.document()["rates"]["series"]["requests"] == []
