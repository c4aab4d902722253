"""Connections to memcached, and what is noted when they come and go."""

import errno
import os
import socket
from collections.abc import Awaitable, Callable

import trio

from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.observe.log import get_logger
from mcproxy.observe.metrics import Metrics, UpstreamFailure
from mcproxy.relay.poller import STOPPED

log = get_logger()


def connector(address: TcpAddress | UnixAddress) -> Callable[[], Awaitable[socket.socket]]:
    """What opens a non-blocking socket to `address`. It raises OSError."""
    if isinstance(address, UnixAddress):

        async def connect() -> socket.socket:
            return await _connect(socket.AF_UNIX, address.path)
    else:

        async def connect() -> socket.socket:
            found = await trio.socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
            family, _, _, _, target = found[0]
            connection = await _connect(family, target)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection

    return connect


async def _connect(family: int, target: object) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        error = connection.connect_ex(target)  # type: ignore[arg-type]
        if error == errno.EINPROGRESS:
            await trio.lowlevel.wait_writable(connection)
            error = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
    except BaseException:
        connection.close()
        raise
    return connection


class UpstreamLog:
    """Tells log and metrics of links. A failure that goes on is logged when it begins, not at every try."""

    def __init__(self, metrics: Metrics, address: str) -> None:
        self._metrics = metrics
        self._address = address
        self._failing: dict[str, str] = {}

    def link_opened(self, protocol: str) -> None:
        """A link is in service."""
        self._failing.pop(protocol, None)
        self._metrics.link_opened(protocol)
        log.info("upstream_link_opened", protocol=protocol)

    def link_lost(self, protocol: str, reason: str) -> None:
        """A link that was in service is gone."""
        self._metrics.link_closed(protocol)
        if reason == STOPPED:
            log.info("upstream_link_closed", protocol=protocol)
            return
        self._metrics.upstream_failed(_failure(reason))
        log.warning("upstream_link_lost", protocol=protocol, reason=reason)

    def link_failed(self, protocol: str, reason: str, wait: float) -> None:
        """A link could not be opened; the next try comes in about `wait` seconds."""
        self._metrics.upstream_failed(UpstreamFailure.CONNECT)
        if self._failing.get(protocol) != reason:
            self._failing[protocol] = reason
            log.warning("upstream_unavailable", address=self._address, protocol=protocol, reason=reason)

    def no_place(self, protocol: str, most: int) -> None:
        """A session waited in vain for a link of its own: `most` are in use."""
        self._metrics.upstream_failed(UpstreamFailure.CONNECT)
        log.warning("own_links_in_use", protocol=protocol, reason="all are in use", links=most)


def _failure(reason: str) -> UpstreamFailure:
    if reason.startswith("out of step"):
        return UpstreamFailure.UNEXPECTED_REPLY
    return UpstreamFailure.TIMEOUT if "timed out" in reason else UpstreamFailure.CLOSED
