"""What each principal does, how long upstream takes and how full the proxy is, as the real program tells it."""

from typing import Any

import pytest

from tests.integration.conftest import StartProxy
from tests.support.proxy import Proxy
from tests.support.tap import Tap
from tests.support.waiting import eventually


@pytest.fixture(scope="module", params=[1, 2], ids=["one-process", "two-workers"])
def program(request: pytest.FixtureRequest, start_proxy: StartProxy, tap: Tap) -> Proxy:
    return start_proxy(tap.address, workers=request.param, limits={"connections": 777, "total_buffer": "8MiB"})


def counted(program: Proxy, principal: str, **labels: Any) -> dict[str, float]:
    who = {"kind": "user", "principal": principal}
    names = ("sessions", "requests_total", "hits_total", "misses_total", "denied_requests_total")
    return {name: program.metric(f"mcproxy_principal_{name}", **who, **labels) for name in names}


def test_each_principal_has_its_own(program: Proxy) -> None:
    with program.logged_in("sammy") as sammy, program.logged_in("reader") as reader:
        sammy.send(b"set app:a 0 0 1\r\nx\r\nget app:a\r\nget app:none\r\nget other:key\r\n")
        assert [sammy.line() for _ in range(6)][-1] == b"CLIENT_ERROR access denied\r\n"
        reader.send(b"get app:a app:none\r\n")
        assert [reader.line() for _ in range(3)][-1] == b"END\r\n"
        assert counted(program, "sammy") == {
            "sessions": 1,
            "requests_total": 3,
            "hits_total": 1,
            "misses_total": 1,
            "denied_requests_total": 1,
        }
        assert program.metric("mcproxy_principal_requests_total", principal="sammy", **{"class": "write"}) == 1
        assert counted(program, "reader")["hits_total"] == 1
        assert program.metric("mcproxy_requests_total") == 5
        assert (program.metric("mcproxy_hits_total"), program.metric("mcproxy_misses_total")) == (2, 2)
        assert program.metric("mcproxy_denied_requests_total", **{"class": "read"}) == 1
    eventually("their sessions have ended", lambda: counted(program, "sammy")["sessions"] == 0)
    assert counted(program, "sammy")["hits_total"] == 1


def test_durations(program: Proxy) -> None:
    labels = {"upstream": "upstream", "protocol": "text"}
    before = program.metric("mcproxy_request_duration_seconds_count", **labels)
    with program.logged_in("sammy") as client:
        for _ in range(20):
            client.send(b"get app:none\r\n")
            assert client.line() == b"END\r\n"
    count = program.metric("mcproxy_request_duration_seconds_count", **labels)
    assert before < count <= before + 20
    assert program.metric("mcproxy_request_duration_seconds_bucket", le="+Inf", **labels) == count
    assert 0 < program.metric("mcproxy_request_duration_seconds_sum", **labels) < 10
    assert program.metric("mcproxy_relay_busy_seconds_total") > 0


def test_saturation(program: Proxy) -> None:
    limits = [program.metric(f"mcproxy_{name}_limit") for name in ("connections", "buffered_bytes")]
    assert limits == [777, 8 << 20]
    open_before = program.metric("mcproxy_connections_open")
    with program.logged_in(), program.connect():
        eventually("both are counted", lambda: program.metric("mcproxy_connections_open") == open_before + 2)
    eventually("both are gone", lambda: program.metric("mcproxy_connections_open") == open_before)
    assert program.metric("mcproxy_draining") == 0
