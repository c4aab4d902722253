"""What the admin port answers, by path."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import h11

from mcproxy.observe.log import get_logger
from mcproxy.server.admin_access import OPEN_TO_ALL
from mcproxy.server.admin_reply import JSON, Reply
from mcproxy.server.status_page import page

log = get_logger()
_STATUS_PAGE: Final = page()
"""Read with the program, whose files an upgrade may replace while it runs."""


async def no_obstacle() -> str | None:
    """What a process that can answer says of its own health."""
    return None


@dataclass(frozen=True)
class Pages:
    """`metrics` takes an Accept header and returns body and content type. `status` returns the body of /status.json.

    `ready` and `healthy` return None, or why not, in one line. Without `metrics` or `status` their paths aren't found.
    """

    ready: Callable[[], Awaitable[str | None]]
    healthy: Callable[[], Awaitable[str | None]] = no_obstacle
    metrics: Callable[[str], Awaitable[tuple[bytes, str]]] | None = None
    status: Callable[[], Awaitable[bytes]] | None = None

    def health_alone(self) -> "Pages":
        """What is for everybody."""
        return Pages(self.ready, self.healthy)

    def takes_time(self, path: bytes) -> bool:
        """Whether who asks for it may have to wait: for a worker, or for its turn."""
        return path in (b"/readyz", b"/metrics", b"/status.json")

    async def answer(self, path: bytes, request: h11.Request) -> Reply:
        """Never raises: a fault of ours must neither end the server nor show its insides."""
        known = self._paths()
        if path not in known:
            return Reply(404, b"not found; there are " + b", ".join(known) + b"\n")
        if request.method not in (b"GET", b"HEAD"):
            return Reply(405, b"only GET and HEAD\n", headers=(("Allow", "GET, HEAD"),))
        try:
            return await self._page(path, request)
        except Exception as failure:
            log.error("admin_request_failed", path=path.decode(), error=f"{type(failure).__name__}: {failure}")
            return Reply(500, b"internal error; the log says more\n")

    def _paths(self) -> tuple[bytes, ...]:
        metrics = () if self.metrics is None else (b"/metrics",)
        status = () if self.status is None else (b"/", b"/status", b"/status.json")
        return (*OPEN_TO_ALL, *metrics, *status)

    async def _page(self, path: bytes, request: h11.Request) -> Reply:
        if path == b"/healthz":
            return _verdict(await self.healthy(), b"ok\n")
        if path == b"/readyz":
            return _verdict(await self.ready(), b"ready\n")
        if path == b"/metrics" and self.metrics is not None:
            accept = b", ".join(value for name, value in request.headers if name == b"accept")
            return Reply(200, *await self.metrics(accept.decode("latin-1")))
        if path == b"/status.json" and self.status is not None:
            return Reply(200, await self.status(), JSON)
        body, content_type, policy = _STATUS_PAGE
        return Reply(200, body, content_type, (("Content-Security-Policy", policy),))


def _verdict(obstacle: str | None, fine: bytes) -> Reply:
    return Reply(200, fine) if obstacle is None else Reply(503, " ".join(obstacle.split()).encode() + b"\n")
