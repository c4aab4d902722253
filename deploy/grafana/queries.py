"""The pieces that the dashboard's queries are made of. $job and $instance choose the mcproxy in all of them."""

from panels import Query

MINE = 'job=~"$job",instance=~"$instance"'
OF_LISTENER = f'{MINE},listener=~"$listener"'
OF_UPSTREAM = f'{MINE},upstream=~"$upstream"'


def rate(metric: str, labels: str, by: str) -> str:
    """Of a counter, a second."""
    return f"sum by ({by}) (rate({metric}{{{labels}}}[$__rate_interval]))"


def quantile(share: float) -> Query:
    """How long requests take, by upstream."""
    buckets = rate("mcproxy_request_duration_seconds_bucket", OF_UPSTREAM, "upstream, le")
    return Query(f"histogram_quantile({share:g}, {buckets})", f"{{{{upstream}}}} p{share * 100:g}")


def most(expression: str) -> str:
    """The ten busiest: there may be two hundred principals."""
    return f"topk(10, {expression})"
