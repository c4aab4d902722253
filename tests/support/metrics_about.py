"""What docs/metrics.md says of each metric beside its name, type and help, which come from the running program.

By group: a metric's labels, with their values where these are its own, and a query that answers the question one would
ask of it.
"""

from dataclasses import dataclass, field
from typing import Final

from mcproxy.observe.metrics import MECHANISMS, OTHER, PROTOCOLS, ConnectionRefusal, LoginResult, UpstreamFailure
from mcproxy.observe.traffic import DENIABLE, REFUSALS


def any_of(*values: str) -> str:
    return ", ".join(f"`{value}`" for value in values)


COMMON: Final = {
    "listener": "a listener of the configuration",
    "upstream": "an upstream of the configuration; `upstream` where it has only one, without a name",
    "protocol": f"{any_of(*PROTOCOLS)}: what is spoken to the upstream",
    "class": f"a command class: {any_of(*DENIABLE)}; `other`, never denied: what everybody may, such as `version`",
    "kind": f"what a principal is: {any_of('user', 'certificate', 'address', 'peer', 'anonymous', OTHER)}",
    "principal": "its name in the users file, or a grant's `as`",
}
"""Labels that mean the same wherever they are."""

LISTENER: Final = {"listener": ""}
UPSTREAM: Final = {"upstream": ""}
POOL: Final = {"upstream": "", "protocol": ""}
CLASS: Final = {"class": ""}
PRINCIPAL: Final = {"kind": "", "principal": ""}

REQUESTS: Final = """\
Each key of a retrieval counts as a request. A key that is answered with an error of memcached's is a miss here.

In `mcproxy_refused_requests_total`, `before login` is what clients asked who weren't logged in. The reasons that begin
with `upstream` are what the client read behind `SERVER_ERROR`: memcached had no answer for its request. A retrieval
counts there with all its keys. All other reasons are the log's own (`request_refused`), and count a retrieval once.

`mcproxy_principal_*` tell apart the first 200 principals that have logged in to a worker since it started; all others
are counted together, as `kind="other", principal="other"`. A reload doesn't make room; a worker that is started anew
begins with nobody. With several workers each has 200 of its own, and `/metrics` the sum; one that is killed loses what
it counted of them since the last scrape."""

DURATIONS: Final = """\
`mcproxy_request_duration_seconds` is a sample: each link times one request at a time, and the next a millisecond after
that one's answer at the earliest. The time begins when a link gets a request, which is sent at the end of the turn, and
ends when its whole reply has come. Gets that go up in one line are one request. One that got no answer is in
`mcproxy_upstream_failures_total` instead, and what has a link of its own (`stats`, `watch` and the like) is not timed.

`mcproxy_relay_busy_seconds_total` is how much of each second the one relay of each worker needs. Near 1, clients wait
for it. TLS handshakes, logins and the admin port are not in it: `process_cpu_seconds_total` has everything."""


@dataclass(frozen=True)
class About:
    """`labels` with their values, "" for those of COMMON."""

    labels: dict[str, str] = field(default_factory=dict)
    query: str = ""


@dataclass(frozen=True)
class Group:
    """A heading, what to know of all its metrics, and these by name, without the suffixes of a histogram."""

    title: str
    text: str
    metrics: dict[str, About]


WELL: Final = """\
A worker is `silent` if it did not answer this scrape within a second. What it counted, and its gauges, such as
`mcproxy_sessions` and `mcproxy_upstream_links`, are still in the sums as it told them last."""

GROUPS: Final = (
    Group(
        "Is it well?",
        WELL,
        {
            "mcproxy_ready": About(query="min_over_time(mcproxy_ready[5m]) == 0"),
            "mcproxy_draining": About(),
            "mcproxy_workers": About({"state": any_of("configured", "alive", "silent")}),
            "mcproxy_worker_restarts_total": About(query="increase(mcproxy_worker_restarts_total[1h]) > 0"),
            "mcproxy_generation": About(),
            "mcproxy_reloads_total": About({"result": any_of("success", "failure")}),
            "mcproxy_last_reload_successful": About(query="mcproxy_last_reload_successful == 0"),
            "mcproxy_last_reload_success_timestamp_seconds": About(),
            "mcproxy_build_info": About({"version": "of mcproxy", "python": "of Python"}),
        },
    ),
    Group(
        "Who comes in?",
        "",
        {
            "mcproxy_connections_total": About(LISTENER, "sum by (listener) (rate(mcproxy_connections_total[5m]))"),
            "mcproxy_connections_refused_total": About(
                {**LISTENER, "reason": any_of(*ConnectionRefusal)},
                "sum by (reason) (rate(mcproxy_connections_refused_total[5m]))",
            ),
            "mcproxy_logins_total": About(
                {**LISTENER, "mechanism": any_of(*MECHANISMS, OTHER), "result": any_of(*LoginResult)},
                'sum by (mechanism) (rate(mcproxy_logins_total{result="failure"}[5m]))',
            ),
            "mcproxy_sessions": About(LISTENER),
            "mcproxy_principal_sessions": About(PRINCIPAL, "topk(10, mcproxy_principal_sessions)"),
        },
    ),
    Group(
        "What do they ask?",
        REQUESTS,
        {
            "mcproxy_requests_total": About(CLASS, "sum by (class) (rate(mcproxy_requests_total[5m]))"),
            "mcproxy_hits_total": About(
                query="rate(mcproxy_hits_total[5m]) / (rate(mcproxy_hits_total[5m]) + rate(mcproxy_misses_total[5m]))"
            ),
            "mcproxy_misses_total": About(),
            "mcproxy_denied_requests_total": About(CLASS, "sum by (class) (rate(mcproxy_denied_requests_total[5m]))"),
            "mcproxy_refused_requests_total": About(
                {"reason": any_of(*REFUSALS)}, 'sum(rate(mcproxy_refused_requests_total{reason=~"upstream.*"}[5m]))'
            ),
            "mcproxy_principal_requests_total": About(
                {**PRINCIPAL, **CLASS}, "sum by (principal) (rate(mcproxy_principal_requests_total[5m]))"
            ),
            "mcproxy_principal_hits_total": About(
                PRINCIPAL,
                "rate(mcproxy_principal_hits_total[5m])\n"
                "  / (rate(mcproxy_principal_hits_total[5m]) + rate(mcproxy_principal_misses_total[5m]))",
            ),
            "mcproxy_principal_misses_total": About(PRINCIPAL),
            "mcproxy_principal_denied_requests_total": About(PRINCIPAL),
            "mcproxy_downstream_received_bytes_total": About(),
            "mcproxy_downstream_sent_bytes_total": About(),
        },
    ),
    Group(
        "How fast, and how full?",
        DURATIONS,
        {
            "mcproxy_request_duration_seconds": About(
                POOL,
                "histogram_quantile(0.99,\n"
                "  sum by (le, upstream) (rate(mcproxy_request_duration_seconds_bucket[5m])))",
            ),
            "mcproxy_relay_busy_seconds_total": About(
                query='rate(mcproxy_relay_busy_seconds_total[5m]) / ignoring(state) mcproxy_workers{state="alive"}'
            ),
            "mcproxy_connections_open": About(query="mcproxy_connections_open / mcproxy_connections_limit"),
            "mcproxy_connections_limit": About(),
            "mcproxy_buffered_bytes": About(query="mcproxy_buffered_bytes / mcproxy_buffered_bytes_limit"),
            "mcproxy_buffered_bytes_limit": About(),
        },
    ),
    Group(
        "What of the upstreams?",
        "",
        {
            "mcproxy_upstream_links": About(POOL, "sum by (upstream, protocol) (mcproxy_upstream_links) == 0"),
            "mcproxy_upstream_links_outdated": About(POOL),
            "mcproxy_upstream_failures_total": About(
                {**UPSTREAM, "reason": any_of(*UpstreamFailure)},
                "sum by (upstream, reason) (increase(mcproxy_upstream_failures_total[15m]))",
            ),
            "mcproxy_upstream_received_bytes_total": About(),
            "mcproxy_upstream_sent_bytes_total": About(),
        },
    ),
    Group(
        "What ends soon?",
        "",
        {
            "mcproxy_certificate_expiry_timestamp_seconds": About(
                {**LISTENER, "file": any_of("certificate", "client_ca", "crl")},
                "mcproxy_certificate_expiry_timestamp_seconds - time() < 14 * 86400",
            ),
            "mcproxy_upstream_certificate_expiry_timestamp_seconds": About(
                {**UPSTREAM, "file": any_of("ca", "certificate")}
            ),
            "mcproxy_user_secret_last_used_timestamp_seconds": About(
                {"user": "of the users file, with two lines of a mechanism", "secret": any_of("newer", "older")}
            ),
        },
    ),
    Group(
        "The process",
        "Of several workers and their parent the sum, but for the start, which is that of the oldest.",
        {
            "process_cpu_seconds_total": About(query="rate(process_cpu_seconds_total[5m])"),
            "process_open_fds": About(query="process_open_fds / process_max_fds"),
            "process_max_fds": About(),
            "process_resident_memory_bytes": About(),
            "process_virtual_memory_bytes": About(),
            "process_start_time_seconds": About(),
        },
    ),
)
