"""The metrics of one server, in a registry of its own.

Every label is out of a closed set: listeners come from the configuration, all else is named here or in the code that
counts. A client can't add a series: a value that is not of its set is counted as "other".
"""

from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from platform import python_version

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector

from mcproxy import __version__
from mcproxy.auth.offer import MECHANISMS as SASL_MECHANISMS
from mcproxy.observe.traffic import TrafficCollector, TrafficSnapshot

__all__ = ["ConnectionRefusal", "LoginResult", "Metrics", "TrafficSnapshot", "UpstreamFailure"]

OTHER = "other"


class ConnectionRefusal(StrEnum):
    """Why a connection was closed before it became a session."""

    NOT_ALLOWED = "not_allowed"
    TOO_MANY = "too_many"
    TOO_MANY_FROM_ADDRESS = "too_many_from_address"
    TLS = "tls"
    CROWDED_OUT = "crowded_out"
    LOGIN_TIMEOUT = "login_timeout"
    LOGIN_FAILED = "login_failed"
    PROTOCOL = "protocol"
    DRAINING = "draining"
    UNDECIDED = "undecided"
    PROXY_HEADER = "proxy_header"


class LoginResult(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    THROTTLED = "throttled"
    UNAVAILABLE = "unavailable"
    """saslauthd would know, and didn't answer."""


class UpstreamFailure(StrEnum):
    """Why a link to memcached was lost or not made."""

    CONNECT = "connect"
    TLS = "tls"
    LOGIN = "login"
    CLOSED = "closed"
    TIMEOUT = "timeout"
    UNEXPECTED_REPLY = "unexpected_reply"


MECHANISMS = (*SASL_MECHANISMS, "token", "certificate", "address", "peer", "anonymous")
"""How one may log in; what a client asked for beside these is counted as "other"."""

PROTOCOLS = ("text", "binary")


class Metrics:
    """Counts what happens seldom (connections, logins, failures); what happens often comes from `snapshot` at a scrape.

    `listeners` and `upstreams` are the configured names. `ready` tells whether requests can be served now.
    """

    def __init__(
        self,
        listeners: Iterable[str],
        upstreams: Iterable[str],
        snapshot: Callable[[], TrafficSnapshot],
        ready: Callable[[], bool],
    ) -> None:
        # Otherwise every counter has a second series with the time at which the process started, under another name.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        names = tuple(listeners)
        self._connections = _Series(
            Counter, self.registry, "mcproxy_connections", "Connections accepted.", listener=names
        )
        self._connections_refused = _Series(
            Counter,
            self.registry,
            "mcproxy_connections_refused",
            "Connections closed before they became a session, by reason.",
            listener=names,
            reason=tuple(ConnectionRefusal),
        )
        self._logins = _Series(
            Counter,
            self.registry,
            "mcproxy_logins",
            "Attempts to log in, by mechanism and result.",
            listener=names,
            mechanism=MECHANISMS,
            result=tuple(LoginResult),
        )
        self._sessions = _Series(
            Gauge, self.registry, "mcproxy_sessions", "Connections that are logged in now.", listener=names
        )
        upstream_names = tuple(upstreams)
        self._upstream_links = _Series(
            Gauge,
            self.registry,
            "mcproxy_upstream_links",
            "Connections to memcached now.",
            from_the_start=False,
            upstream=upstream_names,
            protocol=PROTOCOLS,
        )
        self._upstream_links_outdated = _Series(
            Gauge,
            self.registry,
            "mcproxy_upstream_links_outdated",
            "Those of them that serve on by a login that a reload has replaced, since the new one does not succeed.",
            from_the_start=False,
            upstream=upstream_names,
            protocol=PROTOCOLS,
        )
        self._upstream_failures = _Series(
            Counter,
            self.registry,
            "mcproxy_upstream_failures",
            "Connections to memcached that were lost or could not be made, by reason.",
            upstream=upstream_names,
            reason=tuple(UpstreamFailure),
        )
        ready_gauge(self.registry, ready)
        Gauge(
            "mcproxy_build_info",
            "Always 1; the labels tell the versions.",
            ["version", "python"],
            registry=self.registry,
        ).labels(__version__, python_version()).set(1)
        ProcessCollector(registry=self.registry)
        self.registry.register(TrafficCollector(snapshot))

    def connection_accepted(self, listener: str) -> None:
        self._connections.add(1, listener)

    def connection_refused(self, listener: str, reason: ConnectionRefusal) -> None:
        self._connections_refused.add(1, listener, reason)

    def login(self, listener: str, mechanism: str, result: LoginResult) -> None:
        """`mechanism` as the client named it, in its canonical spelling; "token" and "none" for those."""
        self._logins.add(1, listener, mechanism, result)

    def session_opened(self, listener: str) -> None:
        self._sessions.add(1, listener)

    def session_closed(self, listener: str) -> None:
        self._sessions.add(-1, listener)

    def links_wanted(self, upstream: str, protocol: str) -> None:
        """From now on there should be some. Where nobody needs any, none are no trouble, and nothing is told."""
        self._upstream_links.add(0, upstream, protocol)
        self._upstream_links_outdated.add(0, upstream, protocol)

    def links_unwanted(self, upstream: str, protocol: str) -> None:
        """All have ended, and there should be none until `links_wanted`."""
        self._upstream_links.remove(upstream, protocol)
        self._upstream_links_outdated.remove(upstream, protocol)

    def link_opened(self, upstream: str, protocol: str) -> None:
        self._upstream_links.add(1, upstream, protocol)

    def link_closed(self, upstream: str, protocol: str) -> None:
        self._upstream_links.add(-1, upstream, protocol)

    def links_outdated(self, upstream: str, protocol: str, more: int) -> None:
        """So many more than before; less, if negative."""
        self._upstream_links_outdated.add(more, upstream, protocol)

    def upstream_failed(self, upstream: str, reason: UpstreamFailure) -> None:
        self._upstream_failures.add(1, upstream, reason)


def ready_gauge(registry: CollectorRegistry, ready: Callable[[], bool]) -> None:
    """Add the gauge that tells what /readyz does."""
    Gauge(
        "mcproxy_ready",
        "1 if requests can be served: memcached answers and nothing drains.",
        registry=registry,
    ).set_function(lambda: float(ready()))


class _Series:
    """A metric with closed sets of label values, all there from the start, so that a first failure shows as a rise.

    If not `from_the_start`, each is there once something was added, be it 0.
    """

    def __init__(
        self,
        kind: type[Counter] | type[Gauge],
        registry: CollectorRegistry,
        name: str,
        documentation: str,
        *,
        from_the_start: bool = True,
        **labels: Sequence[str],
    ) -> None:
        metric = kind(name, documentation, list(labels), registry=registry)
        self._known = [frozenset(values) for values in labels.values()]
        self._children: dict[tuple[str, ...], Counter | Gauge] = {}
        self._metric: Counter | Gauge = metric
        if not from_the_start:
            return
        combinations: list[tuple[str, ...]] = [()]
        for values in labels.values():
            combinations = [(*start, str(value)) for start in combinations for value in values]
        for combination in combinations:
            self._children[combination] = metric.labels(*combination)

    def add(self, amount: int, *values: str) -> None:
        child = self._children.get(values)
        if child is None:
            closed = tuple(value if value in known else OTHER for value, known in zip(values, self._known, strict=True))
            child = self._children[closed] = self._metric.labels(*closed)
        child.inc(amount)

    def remove(self, *values: str) -> None:
        """It isn't there until something is added again."""
        if self._children.pop(values, None) is not None:
            self._metric.remove(*values)
