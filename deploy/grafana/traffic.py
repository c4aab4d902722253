"""Rows of the dashboard about clients: who comes, who logs in, who is refused, and what is asked."""

from panels import GREEN, HITS, ORANGE, RED, RESULTS, Query, graph, number, row
from queries import MINE, OF_LISTENER, OF_UPSTREAM, most, rate

OVERVIEW = (
    row("Overview"),
    number(
        "Ready",
        "Whether every instance can serve requests. If not, /readyz on its admin port says why.",
        Query(f"min(mcproxy_ready{{{MINE}}})", "ready"),
        words={"1": ("ready", GREEN), "0": ("not ready", RED)},
    ),
    number(
        "Alerts",
        "How many of the alerts of deploy/prometheus/alerts.yaml fire; 0 also if they aren't loaded.",
        Query('count(ALERTS{alertname=~"Mcproxy.*",alertstate="firing"}) or vector(0)', "firing"),
        steps=((None, GREEN), (1, RED)),
    ),
    number("Sessions", "Connections that are logged in.", Query(f"sum(mcproxy_sessions{{{OF_LISTENER}}})", "sessions")),
    number(
        "Requests",
        "Requests passed on to memcached.",
        Query(f"sum(rate(mcproxy_requests_total{{{MINE}}}[$__rate_interval]))", "requests"),
        unit="reqps",
    ),
    number(
        "Hit ratio",
        "Keys found, of those asked for. What is good depends on the applications; a fall is what tells.",
        Query(
            f"sum(rate(mcproxy_hits_total{{{MINE}}}[$__rate_interval])) / (sum(rate(mcproxy_hits_total{{{MINE}}}"
            f"[$__rate_interval])) + sum(rate(mcproxy_misses_total{{{MINE}}}[$__rate_interval])))",
            "hit ratio",
        ),
        unit="percentunit",
        decimals=1,
    ),
    number(
        "Latency p99",
        "99 of 100 requests are answered faster, from handing one to the link until its reply is complete.",
        Query(
            "histogram_quantile(0.99, " + rate("mcproxy_request_duration_seconds_bucket", OF_UPSTREAM, "le") + ")",
            "p99",
        ),
        unit="s",
        steps=((None, GREEN), (0.01, ORANGE), (0.05, RED)),
    ),
    number(
        "Certificates",
        "Until the first certificate of all ends, or revocation list.",
        Query(f"min(mcproxy:certificate_remaining:seconds{{{MINE}}}) / 86400", "days"),
        unit="d",
        steps=((None, RED), (7, ORANGE), (21, GREEN)),
        decimals=0,
    ),
    number(
        "Last reload",
        "Whether the files that were read last are what is served, on every instance.",
        Query(f"min(mcproxy_last_reload_successful{{{MINE}}})", "last reload"),
        words={"1": ("successful", GREEN), "0": ("failed", RED)},
    ),
    graph(
        "Sessions by listener",
        "Connections that are logged in. A fall to nothing is an outage or a release.",
        Query(f"sum by (listener) (mcproxy_sessions{{{OF_LISTENER}}})", "{{listener}}"),
    ),
    graph(
        "Requests by instance",
        "Whether instances behind a balancer have equal shares.",
        Query(rate("mcproxy_requests_total", MINE, "instance"), "{{instance}}"),
        unit="reqps",
    ),
    graph(
        "Connections accepted",
        "New connections a second, refused ones among them. Each costs a login and a TLS handshake.",
        Query(rate("mcproxy_connections_total", OF_LISTENER, "listener"), "{{listener}}"),
        unit="cps",
    ),
)

LOGINS = (
    row("Logins"),
    graph(
        "Logins by result",
        "failure: a wrong password or no such user. throttled: not even checked, after too many failures. "
        "unavailable: saslauthd didn't answer.",
        Query(rate("mcproxy_logins_total", OF_LISTENER, "result"), "{{result}}"),
        unit="ops",
        stacked=True,
        colours=RESULTS,
    ),
    graph(
        "Logins by mechanism",
        "Successful ones. Before you turn a mechanism off, see whether somebody still uses it.",
        Query(rate("mcproxy_logins_total", f'{OF_LISTENER},result="success"', "mechanism"), "{{mechanism}}"),
        unit="ops",
    ),
    graph(
        "Failed logins by listener",
        "In the last 15 minutes, those that weren't even checked among them. The alert McproxyLoginFailures begins at "
        "the line.",
        Query(f"max by (listener) (listener:mcproxy_logins_failed:increase15m{{{OF_LISTENER}}})", "{{listener}}"),
        unit="short",
        steps=((None, GREEN), (20, RED)),
    ),
)

REFUSALS = (
    row("Refusals"),
    graph(
        "Connections refused by reason",
        "Closed before they became a session. not_allowed: an address that no allowlist has; too_many...: a limit.",
        Query(rate("mcproxy_connections_refused_total", OF_LISTENER, "reason"), "{{reason}}"),
        unit="cps",
        stacked=True,
        width=6,
    ),
    graph(
        "Requests refused by reason",
        "Answered with an error by mcproxy itself, because memcached could take them for two things or not at all; "
        "upstream...: because memcached had no answer.",
        Query(rate("mcproxy_refused_requests_total", MINE, "reason"), "{{reason}}"),
        unit="reqps",
        stacked=True,
        width=6,
    ),
    graph(
        "Requests denied by class",
        "Requests that no grant allows, by what they would have done.",
        Query(rate("mcproxy_denied_requests_total", MINE, "class"), "{{class}}"),
        unit="reqps",
        stacked=True,
        width=6,
    ),
    graph(
        "Requests denied by principal",
        "Who asks for what no grant gives him: the ten with most.",
        Query(
            most(rate("mcproxy_principal_denied_requests_total", MINE, "kind, principal")),
            "{{kind}} {{principal}}",
        ),
        unit="reqps",
        width=6,
    ),
)

REQUESTS = (
    row("Requests"),
    graph(
        "Requests by class",
        "Passed on to memcached, by command class.",
        Query(rate("mcproxy_requests_total", MINE, "class"), "{{class}}"),
        unit="reqps",
        stacked=True,
    ),
    graph(
        "Requests by principal",
        "The ten who ask most.",
        Query(most(rate("mcproxy_principal_requests_total", MINE, "kind, principal")), "{{kind}} {{principal}}"),
        unit="reqps",
    ),
    graph(
        "Bytes from and to clients",
        "After login, without TLS's own.",
        Query(f"sum(rate(mcproxy_downstream_received_bytes_total{{{MINE}}}[$__rate_interval]))", "received"),
        Query(f"sum(rate(mcproxy_downstream_sent_bytes_total{{{MINE}}}[$__rate_interval]))", "sent"),
        unit="Bps",
    ),
    row("Hits and principals"),
    graph(
        "Hits and misses",
        "Keys that were asked for and found, or not.",
        Query(f"sum(rate(mcproxy_hits_total{{{MINE}}}[$__rate_interval]))", "hits"),
        Query(f"sum(rate(mcproxy_misses_total{{{MINE}}}[$__rate_interval]))", "misses"),
        unit="ops",
        stacked=True,
        colours=HITS,
    ),
    graph(
        "Hit ratio by principal",
        "Over five minutes, the ten lowest. One that falls alone is a release; all together, an emptied cache.",
        Query(
            f"bottomk(10, avg by (kind, principal) (principal:mcproxy_hits:ratio_rate5m{{{MINE}}}))",
            "{{kind}} {{principal}}",
        ),
        unit="percentunit",
        most=1,
    ),
    graph(
        "Sessions by principal",
        "Connections that are logged in: the ten with most. One that only rises doesn't close its connections.",
        Query(most(f"sum by (kind, principal) (mcproxy_principal_sessions{{{MINE}}})"), "{{kind}} {{principal}}"),
    ),
)
