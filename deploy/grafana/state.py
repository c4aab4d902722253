"""Rows of the dashboard about how mcproxy, memcached and what lies between them fare."""

from panels import GREEN, NEUTRAL, ORANGE, RED, RESULTS, SHARE_USED, STATES, Query, bars, graph, heat, row
from queries import MINE, OF_UPSTREAM, quantile, rate

LATENCY = (
    row("Latency"),
    graph(
        "Quantiles by upstream",
        "From handing a request to the link until its reply is complete, of a sample. Below a millisecond is usual.",
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        unit="s",
    ),
    graph(
        "Mean by protocol",
        "The mean, which the slowest pull up.",
        Query(
            rate("mcproxy_request_duration_seconds_sum", OF_UPSTREAM, "protocol")
            + " / "
            + rate("mcproxy_request_duration_seconds_count", OF_UPSTREAM, "protocol"),
            "{{protocol}}",
        ),
        unit="s",
    ),
    heat(
        "All durations",
        "How many requests took how long. Two bands are two kinds of requests; a dark top is a queue.",
        Query(rate("mcproxy_request_duration_seconds_bucket", OF_UPSTREAM, "le"), "{{le}}"),
        unit="s",
    ),
)

UPSTREAM = (
    row("Upstream"),
    graph(
        "Links",
        "Connections to each upstream, by protocol. Without one, requests are answered with SERVER_ERROR.",
        Query(f"sum by (upstream, protocol) (mcproxy_upstream_links{{{OF_UPSTREAM}}})", "{{upstream}} {{protocol}}"),
        width=6,
    ),
    graph(
        "Failures by reason",
        "Links that were lost or could not be opened. unexpected_reply: something answered what nobody had asked.",
        Query(rate("mcproxy_upstream_failures_total", OF_UPSTREAM, "upstream, reason"), "{{upstream}} {{reason}}"),
        unit="ops",
        stacked=True,
        width=6,
    ),
    graph(
        "Links by a replaced login",
        "They serve on by the login from before a reload, because the new one isn't accepted. Should be 0.",
        Query(f"sum by (upstream) (mcproxy_upstream_links_outdated{{{OF_UPSTREAM}}})", "{{upstream}}"),
        steps=((None, GREEN), (1, RED)),
        width=6,
    ),
    graph(
        "Bytes from and to upstreams",
        "What memcached sent and got.",
        Query(f"sum(rate(mcproxy_upstream_received_bytes_total{{{MINE}}}[$__rate_interval]))", "received"),
        Query(f"sum(rate(mcproxy_upstream_sent_bytes_total{{{MINE}}}[$__rate_interval]))", "sent"),
        unit="Bps",
        width=6,
    ),
)

# Of several mcproxies before one memcached each tells the same: the most is the newest.
MEMCACHED = (
    row("memcached"),
    graph(
        "Memory",
        "Bytes that items take, and may take (-m).",
        Query(f"max by (upstream) (memcached_current_bytes{{{OF_UPSTREAM}}})", "{{upstream}}"),
        Query(f"max by (upstream) (memcached_limit_bytes{{{OF_UPSTREAM}}})", "{{upstream}} limit"),
        unit="bytes",
        width=6,
    ),
    graph(
        "Commands",
        "As memcached counts them, by command and status.",
        Query(
            f"max by (command, status) (rate(memcached_commands_total{{{OF_UPSTREAM}}}[$__rate_interval]))",
            "{{command}} {{status}}",
        ),
        unit="ops",
        width=6,
    ),
    graph(
        "Items that came and went",
        "evicted: dropped for want of memory before their time. With a falling hit ratio, memcached is too small.",
        Query(
            f"max by (upstream) (rate(memcached_items_total{{{OF_UPSTREAM}}}[$__rate_interval]))", "{{upstream}} stored"
        ),
        Query(
            f"max by (upstream) (rate(memcached_items_evicted_total{{{OF_UPSTREAM}}}[$__rate_interval]))",
            "{{upstream}} evicted",
        ),
        unit="ops",
        width=6,
    ),
    graph(
        "Share of connections in use",
        "Of memcached's own limit (-c), whoever has them. The alert begins at the first line.",
        Query(f"max by (upstream) (upstream:memcached_connections:ratio{{{OF_UPSTREAM}}})", "{{upstream}}"),
        unit="percentunit",
        most=1,
        steps=SHARE_USED,
        width=6,
    ),
    graph(
        "Uptime",
        "A fall to zero is a restart, which empties the cache.",
        Query(f"max by (upstream) (memcached_uptime_seconds{{{OF_UPSTREAM}}})", "{{upstream}}"),
        unit="s",
        width=12,
    ),
    graph(
        "Items stored",
        "How many there are now.",
        Query(f"max by (upstream) (memcached_current_items{{{OF_UPSTREAM}}})", "{{upstream}}"),
        width=12,
    ),
)

FILES = (
    row("Certificates and reloads"),
    bars(
        "Days until they end",
        "Certificates, authorities (client_ca, ca) and revocation lists (crl). A list is commonly reissued each week.",
        Query(
            f"min by (listener, upstream, file) (mcproxy:certificate_remaining:seconds{{{MINE}}}) / 86400",
            "{{listener}}{{upstream}} {{file}}",
        ),
        unit="d",
        steps=((None, RED), (7, ORANGE), (21, GREEN)),
        width=8,
    ),
    graph(
        "Reloads by result",
        "How many in each quarter of an hour.",
        Query(f"sum by (result) (increase(mcproxy_reloads_total{{{MINE}}}[15m]))", "{{result}}"),
        colours=RESULTS,
    ),
    graph(
        "Generation",
        "Which reading of the files is served: 1 since the start, one more with each that changed something.",
        Query(f"max by (instance) (mcproxy_generation{{{MINE}}})", "{{instance}}"),
    ),
    bars(
        "Passwords: when last used",
        "How long ago, of users who have two. Take the older out once nobody uses it. Empty if nobody has two.",
        Query(
            f"time() - (max by (user, secret) (mcproxy_user_secret_last_used_timestamp_seconds{{{MINE}}}) > 0)",
            "{{user}} {{secret}}",
        ),
        unit="s",
        steps=NEUTRAL,
        width=24,
    ),
)

SATURATION = (
    row("Saturation"),
    graph(
        "Shares of the limits in use",
        "Of the instance with most. The alerts begin at the first line.",
        Query(f"max(instance:mcproxy_connections:ratio{{{MINE}}})", "connections"),
        Query(f"max(instance:mcproxy_buffered_bytes:ratio{{{MINE}}})", "buffered bytes"),
        Query(f"max(instance:mcproxy_descriptors:ratio{{{MINE}}})", "descriptors"),
        unit="percentunit",
        most=1,
        steps=SHARE_USED,
    ),
    graph(
        "Relay busy",
        "Share of the time that it works, on average of an instance's workers. From 0.8 on requests wait.",
        Query(f"max by (instance) (instance:mcproxy_relay_busy:ratio_rate5m{{{MINE}}})", "{{instance}}"),
        unit="percentunit",
        most=1,
        steps=((None, GREEN), (0.8, RED)),
    ),
    graph(
        "Workers",
        "alive should be what is configured. silent: it doesn't answer, and its sessions stand still.",
        Query(f"sum by (state) (mcproxy_workers{{{MINE}}})", "{{state}}"),
        colours=STATES,
    ),
    graph(
        "Processor time",
        "How many processors each instance keeps busy, TLS and logins among it.",
        Query(rate("process_cpu_seconds_total", MINE, "instance"), "{{instance}}"),
        width=12,
    ),
    graph(
        "Resident memory",
        "Of each instance, all its workers together.",
        Query(f"sum by (instance) (process_resident_memory_bytes{{{MINE}}})", "{{instance}}"),
        unit="bytes",
        width=12,
    ),
)
