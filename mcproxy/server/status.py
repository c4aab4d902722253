"""/status.json: how the proxy fares, for the status page, `mcproxy top` and `mcproxy doctor`.

Figures come from the metrics, of one process or summed over workers, so both tell the same. Sizes are bounded: lists
have at most so many rows, and texts, which may be anybody's, so many characters.
"""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import trio
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from mcproxy import __version__
from mcproxy.config.encryption import admin_access, listener_encryption
from mcproxy.config.schema import UpstreamLogin
from mcproxy.observe.figures import Figures
from mcproxy.observe.log import log_bug
from mcproxy.observe.rates import INTERVAL, Rates
from mcproxy.observe.recent import shown
from mcproxy.observe.reloads import Reload
from mcproxy.observe.saturation import DRAINING
from mcproxy.observe.together import WorkerCount
from mcproxy.observe.verdict import verdict
from mcproxy.server.state import Generation, PoolName
from mcproxy.server.status_part import Part, obstacles_of, refusals_of

MOST_PRINCIPALS: Final = 200
MOST_NETWORKS: Final = 200
"""Of one listener's allowlist, and addresses."""

SERIES: Final = (
    "requests",
    "hits",
    "misses",
    "refused",
    "logins",
    "failed_logins",
    "received_bytes",
    "sent_bytes",
)
_BUSY: Final = "busy_seconds"
_TOTALS: Final = {
    "requests": ("mcproxy_requests_total",),
    "hits": ("mcproxy_hits_total",),
    "misses": ("mcproxy_misses_total",),
    "refused": ("mcproxy_refused_requests_total", "mcproxy_connections_refused_total"),
    "received_bytes": ("mcproxy_downstream_received_bytes_total",),
    "sent_bytes": ("mcproxy_downstream_sent_bytes_total",),
    _BUSY: ("mcproxy_relay_busy_seconds_total",),
}
_LOGINS: Final = "mcproxy_logins_total"
SAMPLED: Final = (_LOGINS, *(name for names in _TOTALS.values() for name in names))
"""The samples that rates are made of."""


@dataclass(frozen=True)
class Look:
    """What was gathered for one document. `ready` is why requests can't be served, or None; `files` are rows
    about those that were read."""

    generation: Generation
    metrics: Iterable[Metric]
    parts: list[Part]
    workers: WorkerCount
    ready: str | None
    last_reload: Reload | None
    files: list[dict[str, object]]


class Status:
    """Of this process, from its start. `addresses` are those listened on, by listener, as they were bound."""

    def __init__(self, addresses: Mapping[str, list[str]]) -> None:
        self._addresses = addresses
        self._started = time.time()
        self._rates = Rates((*SERIES, _BUSY))

    async def sample_forever(
        self, metrics: Callable[[], Iterable[Metric]], clock: Callable[[], float] = trio.current_time
    ) -> None:
        """Sample rates until cancelled. `metrics` gives those with the samples SAMPLED, perhaps among others; `clock`
        says of when they are, in seconds."""
        while True:
            try:
                self._rates.sample(_totals(Figures(metrics())), clock(), time.time())
            except Exception as error:  # plots are not worth a proxy
                log_bug(error)
            await trio.sleep(INTERVAL)

    def body(self, look: Look) -> bytes:
        """The document in ASCII."""
        return json.dumps(self.document(look), separators=(",", ":")).encode("ascii")

    def document(self, look: Look) -> dict[str, Any]:
        """The whole of it, with what `mcproxy.observe.verdict` makes of it as `verdict`."""
        figures = Figures(look.metrics)
        principals = _principals(figures)
        document = {
            "version": __version__,
            "now": time.time(),
            "started": self._started,
            "ready": shown(look.ready),
            "draining": look.ready == DRAINING,
            "generation": look.generation.number,
            "last_reload": _reload(look.last_reload),
            "files": look.files,
            "workers": look.workers._asdict(),
            "listeners": self._listeners(look.generation, figures),
            "upstreams": _upstreams(look, figures),
            "admin": {
                "addresses": self._addresses.get("admin", []),
                "access": admin_access(look.generation.admin.settings),
                "certificates": _certificates(look.generation.admin.expiries),
            },
            "principals": principals[:MOST_PRINCIPALS],
            "principals_left_out": max(0, len(principals) - MOST_PRINCIPALS),
            "refusals": refusals_of(look.parts),
            "rates": self._rates.document(*SERIES),
            "saturation": self._saturation(figures, look.workers),
        }
        return document | {"verdict": verdict(document)}

    def _listeners(self, generation: Generation, figures: Figures) -> list[dict[str, Any]]:
        return [
            {
                "name": name,
                "addresses": self._addresses.get(name, [])[:MOST_NETWORKS],
                "encryption": listener_encryption(state.settings),
                "authentication": list(state.settings.authentication),
                "allow": [str(network) for network in state.settings.allow[:MOST_NETWORKS]],
                "upstream": generation.settings.upstream_of(name),
                "sessions": figures.count("mcproxy_sessions", listener=name),
                "connections": figures.count("mcproxy_connections_total", listener=name),
                "refused": figures.count("mcproxy_connections_refused_total", listener=name),
                "certificates": _certificates(state.expiries),
            }
            for name, state in generation.listeners.items()
        ]

    def _saturation(self, figures: Figures, workers: WorkerCount) -> dict[str, Any]:
        busy = self._rates.last(_BUSY)
        return {
            "connections": figures.count("mcproxy_connections_open"),
            "connections_limit": figures.count("mcproxy_connections_limit"),
            "buffered_bytes": figures.count("mcproxy_buffered_bytes"),
            "buffered_bytes_limit": figures.count("mcproxy_buffered_bytes_limit"),
            "descriptors": figures.count("process_open_fds"),
            "descriptors_limit": figures.count("process_max_fds"),
            "busy": None if busy is None else min(1.0, busy / max(1, workers.alive)),
        }


async def gathered(registry: CollectorRegistry) -> list[Metric]:
    """All metrics of a registry, with a turn for clients after each: those of many principals take milliseconds."""
    metrics = []
    for metric in registry.collect():
        metrics.append(metric)
        await trio.lowlevel.checkpoint()
    return metrics


def sampled(registry: CollectorRegistry) -> Iterable[Metric]:
    """Those metrics of a registry that rates are made of; the others' figures are not gathered."""
    return registry.restricted_registry(SAMPLED).collect()


def _totals(figures: Figures) -> dict[str, float]:
    totals = {series: sum(map(figures.total, names)) for series, names in _TOTALS.items()}
    logins = figures.total(_LOGINS, result="success")
    return totals | {"logins": logins, "failed_logins": figures.total(_LOGINS) - logins}


def _reload(reload: Reload | None) -> dict[str, Any] | None:
    if reload is None:
        return None
    result = "success" if reload.problem is None else "failure"
    return {"time": reload.time, "result": result, "problem": shown(reload.problem)}


def _upstreams(look: Look, figures: Figures) -> list[dict[str, Any]]:
    obstacles = obstacles_of(look.parts)
    return [
        {
            "name": name,
            "address": str(state.settings.address),
            "engine": state.settings.engine,
            "login": None if state.settings.login is None else shown(_login(state.settings.login)),
            "tls": state.settings.tls is not None,
            "failures": figures.count("mcproxy_upstream_failures_total", upstream=name),
            "pools": [
                {
                    "protocol": pool.protocol,
                    "links": figures.count("mcproxy_upstream_links", **pool._asdict()),
                    "wanted": state.settings.links * look.workers.configured,
                    "outdated": figures.count("mcproxy_upstream_links_outdated", **pool._asdict()),
                    "obstacle": obstacles.get(pool),
                }
                for pool in _pools(look.generation, name)
            ],
            "certificates": _certificates(state.expiries),
        }
        for name, state in look.generation.upstreams.items()
    ]


def _pools(generation: Generation, upstream: str) -> list[PoolName]:
    return sorted(pool for pool in generation.pools if pool.upstream == upstream)


def _login(login: UpstreamLogin) -> str:
    if login.mechanism == "EXTERNAL":
        return "sasl EXTERNAL, as the certificate's"
    how = "token" if login.mechanism is None else f"sasl {login.mechanism}"
    return f"{how} as {login.username}"


def _certificates(expiries: Mapping[str, float]) -> list[dict[str, Any]]:
    return [{"key": key, "expires": expires} for key, expires in expiries.items()]


def _principals(figures: Figures) -> list[dict[str, Any]]:
    """Those with most sessions first, then those with most requests."""
    found: defaultdict[tuple[str, str], dict[str, int]] = defaultdict(
        lambda: {"sessions": 0, "requests": 0, "hits": 0, "misses": 0, "denied": 0}
    )
    for key, name in (
        ("sessions", "mcproxy_principal_sessions"),
        ("requests", "mcproxy_principal_requests_total"),
        ("hits", "mcproxy_principal_hits_total"),
        ("misses", "mcproxy_principal_misses_total"),
        ("denied", "mcproxy_principal_denied_requests_total"),
    ):
        for labels, value in figures.samples(name):
            found[labels["kind"], labels["principal"]][key] += int(value)
    rows = [{"kind": kind, "name": shown(name), **counts} for (kind, name), counts in found.items()]
    return sorted(rows, key=lambda row: (-row["sessions"], -row["requests"], row["kind"], row["name"]))
