"""What the relay counts. Plain ints: they are touched for every request, and read when metrics are scraped."""

from collections import Counter


class Traffic:
    """Counts since the start. `requests` and `denied` are by command class, `refused` by a refusal's fixed reason."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.denied: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.lookups = 0
        self.hits = 0
        self.downstream_received = 0
        self.downstream_sent = 0
        self.upstream_received = 0
        self.upstream_sent = 0
