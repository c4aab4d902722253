"""The admin port over real sockets, with whatever a probe, a scraper or a stranger may send."""

import contextlib
import socket

import pytest
import trio
from prometheus_client.registry import Collector

from mcproxy.config.schema import Admin, ListenerTls
from mcproxy.observe.metrics import Metrics, TrafficSnapshot
from mcproxy.server import admin, admin_places
from mcproxy.server.admin_access import AdminMaterial, Guard
from mcproxy.server.admin_pages import Pages
from mcproxy.server.exposition import exposition, negotiated
from mcproxy.server.pace import Pace
from mcproxy.server.tls import server_context

HOST = "localhost"


class Server:
    """An admin port of its own on a port that the kernel chose."""

    def __init__(self):
        self.obstacle = None
        self.illness = None
        self.busy_now = 0
        self.busy_most = 0
        self.metrics = Metrics(["private"], ["cache"], TrafficSnapshot, lambda: True).registry
        self.material = AdminMaterial(Admin())
        self.port = 0

    async def status(self):
        return b"{}"

    async def exposition(self, accept):
        content_type = negotiated(accept)
        return (await exposition(self.metrics, [content_type]))[content_type], content_type

    async def ready(self):
        return self.obstacle

    async def healthy(self):
        return self.illness

    @contextlib.contextmanager
    def busy(self):
        self.busy_now += 1
        self.busy_most = max(self.busy_most, self.busy_now)
        try:
            yield
        finally:
            self.busy_now -= 1

    def start(self, nursery, listening, health_only=False):
        self.port = listening.getsockname()[1]
        pages = Pages(ready=self.ready, healthy=self.healthy, metrics=self.exposition, status=self.status)
        guard = Guard(lambda: self.material, trio.current_time)
        if health_only:
            port = admin.Port(pages.health_alone(), None, self.busy, Pace())
        else:
            port = admin.Port(pages, guard, self.busy, Pace())
        nursery.start_soon(admin.serve_admin, listening, port)
        return self

    async def ask(self, raw):
        """Status line, headers and body of the answer to these bytes; everything until the server closes."""
        async with await trio.open_tcp_stream("127.0.0.1", self.port) as stream:
            await stream.send_all(raw)
            return split(await read_all(stream))

    async def get(self, path, method="GET", headers=""):
        return await self.ask(f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\n{headers}\r\n".encode())


async def read_all(stream):
    received = b""
    while part := await stream.receive_some():
        received += part
    return received


async def until(condition):
    with trio.fail_after(5):
        while not condition():
            await trio.lowlevel.checkpoint()


def split(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), dict(line.lower().split(": ", 1) for line in lines), body


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.fixture
async def server(nursery, listening):
    return Server().start(nursery, listening)


async def test_metrics_are_prometheus_text(server):
    status, headers, body = await server.get("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=")
    assert int(headers["content-length"]) == len(body)
    assert b"\nmcproxy_ready 1.0\n" in body


async def test_metrics_are_openmetrics_for_who_asks_for_it(server):
    accept = "Accept: application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5\r\n"
    status, headers, body = await server.get("/metrics", headers=accept)
    assert status == 200
    assert headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    wrong = "Accept: application/openmetrics-text;version=abc\r\n"
    assert (await server.get("/metrics", headers=wrong))[0] == 200
    assert body.endswith(b"# EOF\n")


async def test_a_query_string_is_ignored(server):
    assert (await server.get("/healthz?verbose=1"))[0] == 200


async def test_readiness_says_why_not_and_health_does_not_care(server):
    assert (await server.get("/readyz"))[::2] == (200, b"ready\n")
    server.obstacle = "draining\r\nX: y"
    assert (await server.get("/readyz"))[::2] == (503, b"draining X: y\n")
    assert (await server.get("/healthz"))[::2] == (200, b"ok\n")


async def test_health_says_why_not_too(server):
    server.illness = "worker 2 is down"
    assert (await server.get("/healthz"))[::2] == (503, b"worker 2 is down\n")
    assert (await server.get("/readyz"))[::2] == (200, b"ready\n")


async def test_head_has_the_length_of_get_and_no_body(server):
    _, with_body, _ = await server.get("/readyz")
    status, headers, body = await server.get("/readyz", method="HEAD")
    assert (status, body) == (200, b"")
    assert headers["content-length"] == with_body["content-length"]


async def test_other_paths_and_methods_are_refused(server):
    assert (await server.get("/nothing"))[0] == 404
    assert (await server.get("/metrics/../etc"))[0] == 404
    status, headers, _ = await server.get("/metrics", method="DELETE")
    assert (status, headers["allow"]) == (405, "get, head")


async def test_a_post_with_a_body_gets_its_answer_whole(server):
    status, _, body = await server.ask(
        b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000
    )
    assert (status, body) == (405, b"only GET and HEAD\n")


async def test_a_health_only_port_has_no_metrics(nursery, listening):
    server = Server().start(nursery, listening, health_only=True)
    for path in ("/metrics", "/", "/status", "/status.json"):
        assert (await server.get(path))[0] == 404
    assert (await server.get("/healthz"))[0] == 200
    assert (await server.get("/readyz"))[0] == 200


@pytest.mark.parametrize(
    "junk",
    [b"version\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET / HTTP/1.1\r\nA B\r\n\r\n"],
)
async def test_junk_is_a_400(server, junk):
    status, _, body = await server.ask(junk)
    assert status == 400
    assert b"Traceback" not in body
    assert (await server.get("/healthz"))[0] == 200


async def test_headers_without_end_are_refused(server):
    assert (await server.ask(b"GET / HTTP/1.1\r\nA: " + b"a" * 20_000))[0] == 431


async def test_a_client_that_leaves_at_any_byte_does_no_harm(server):
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for end in range(len(request) + 1):
        stream = await trio.open_tcp_stream("127.0.0.1", server.port)
        await stream.send_all(request[:end])
        # Reset rather than closed: what a probe does that has run out of time.
        stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.aclose()
    assert (await server.get("/healthz"))[0] == 200


async def test_a_fault_of_ours_is_a_500_without_its_insides(server, capfd):
    class Broken(Collector):
        def describe(self):
            return []

        def collect(self):
            raise ValueError("secret detail")

    server.metrics.register(Broken())
    status, _, body = await server.get("/metrics")
    assert status == 500
    assert b"secret" not in body
    assert (await server.get("/healthz"))[0] == 200


async def test_a_silent_client_is_closed_in_time(server, monkeypatch):
    monkeypatch.setattr(admin, "REQUEST_SECONDS", 0.05)
    with trio.fail_after(5):
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            assert await read_all(stream) == b""


async def test_a_silent_client_of_tls_is_closed_in_time(server, certificates, monkeypatch):
    monkeypatch.setattr(admin, "REQUEST_SECONDS", 0.05)
    tls = ListenerTls(certificate=certificates.server_certificate, key=certificates.server_key)
    server.material = AdminMaterial(Admin(), context=server_context(tls))
    with trio.fail_after(5):
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            assert await read_all(stream) == b""
            # Nor does it help to begin.
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            await stream.send_all(b"\x16\x03\x01\x40\x00")
            assert await read_all(stream) == b""


async def test_a_client_that_never_stops_sending_is_closed_in_time(server, monkeypatch):
    monkeypatch.setattr(admin, "REQUEST_SECONDS", 0.2)
    with trio.fail_after(10), pytest.raises(trio.BrokenResourceError):
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as stream:
            await stream.send_all(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999999\r\n\r\n")
            while True:
                await stream.send_all(b"x" * 65536)


async def connected(server, held, count):
    return [await held.enter_async_context(await trio.open_tcp_stream("127.0.0.1", server.port)) for _ in range(count)]


async def test_a_newcomer_takes_the_place_of_the_oldest_silent_one(nursery, listening, monkeypatch):
    monkeypatch.setattr(admin_places, "CONNECTIONS", 3)
    server = Server().start(nursery, listening)
    async with contextlib.AsyncExitStack() as held:
        streams = await connected(server, held, 3)
        with trio.fail_after(2):
            assert (await server.get("/healthz"))[0] == 200
            assert await read_all(streams[0]) == b""
        await streams[1].send_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert split(await read_all(streams[1]))[0] == 200


async def test_a_silent_one_is_closed_before_its_handshake_too(nursery, listening, monkeypatch, certificates):
    monkeypatch.setattr(admin_places, "CONNECTIONS", 1)
    server = Server()
    tls = ListenerTls(certificate=certificates.server_certificate, key=certificates.server_key)
    server.material = AdminMaterial(Admin(), context=server_context(tls))
    server.start(nursery, listening)
    async with contextlib.AsyncExitStack() as held:
        first, _second = await connected(server, held, 2)
        with trio.fail_after(2):
            assert await read_all(first) == b""


async def test_who_is_answered_keeps_its_place(nursery, listening, monkeypatch):
    monkeypatch.setattr(admin_places, "CONNECTIONS", 2)
    server = Server()
    may_answer = trio.Event()

    async def slow(accept):
        await may_answer.wait()
        return b"", negotiated(accept)

    server.exposition = slow
    server.start(nursery, listening)
    async with contextlib.AsyncExitStack() as held:
        streams = await connected(server, held, 2)
        for stream in streams:
            await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: server.busy_now == 2)
        async with await trio.open_tcp_stream("127.0.0.1", server.port) as one_more:
            assert await read_all(one_more) == b""
        may_answer.set()
        for stream in streams:
            assert split(await read_all(stream))[0] == 200
    await until(lambda: server.busy_now == 0)
    assert (await server.get("/healthz"))[0] == 200


async def test_it_is_busy_only_while_a_request_is_answered(server):
    async with contextlib.AsyncExitStack() as held:
        (silent,) = await connected(server, held, 1)
        await silent.send_all(b"GET /healthz HTTP/1.1\r\n")
        assert (await server.get("/healthz"))[0] == 200
        await until(lambda: server.busy_now == 0)
        assert server.busy_most == 1
        await silent.send_all(b"Host: localhost\r\n\r\n")
        assert split(await read_all(silent))[0] == 200
