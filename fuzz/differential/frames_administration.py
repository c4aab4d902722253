"""Valid administration commands: every line of the grammar, with arguments that do no harm to what is compared."""

import random

from fuzz.differential.frames import Made, Weighted, spelled

LINES: dict[str, list[bytes]] = {
    "flush_all": [b"flush_all", b"flush_all 0", b"flush_all noreply", b"flush_all 0 noreply"],
    "verbosity": [b"verbosity 0", b"verbosity 1", b"verbosity 0 noreply", b"verbosity 2", b"verbosity 5"],
    "cache_memlimit": [b"cache_memlimit 1000", b"cache_memlimit 1024 noreply", b"cache_memlimit 01000"],
    "lru mode": [b"lru mode flat", b"lru mode segmented"],
    "lru temp_ttl": [b"lru temp_ttl 61", b"lru temp_ttl -5", b"lru temp_ttl 0"],
    "lru tune": [b"lru tune 10 20 0.2 2.0", b"lru tune 0 99 1 9999.123456"],
    "slabs automove": [b"slabs automove 0", b"slabs automove 1", b"slabs automove 2", b"slabs automove ratio 0.8"],
    "slabs reassign": [b"slabs reassign -1 5", b"slabs reassign 1 2", b"slabs reassign 63 63"],
    "lru_crawler enable": [b"lru_crawler enable"],
    "lru_crawler disable": [b"lru_crawler disable"],
    "lru_crawler tocrawl": [b"lru_crawler tocrawl 0", b"lru_crawler tocrawl 4294967295", b"lru_crawler tocrawl 007"],
    "lru_crawler sleep": [b"lru_crawler sleep 0", b"lru_crawler sleep 1000"],
    "lru_crawler crawl": [b"lru_crawler crawl all", b"lru_crawler crawl 1", b"lru_crawler crawl 1,2,63"],
    "lru_crawler metadump": [b"lru_crawler metadump all", b"lru_crawler metadump hash", b"lru_crawler metadump 1,5"],
    "refresh_certs": [b"refresh_certs"],
    "watch": [b"watch", b"watch fetchers mutations", b"watch evictions", b"watch connevents rawcmds"],
    "shutdown": [b"shutdown", b"shutdown graceful"],
    "stats": [b"stats"],
    "stats items": [b"stats items"],
    "stats slabs": [b"stats slabs"],
    "stats sizes": [b"stats sizes"],
    "stats settings": [b"stats settings"],
    "stats conns": [b"stats conns"],
    "stats extstore": [b"stats extstore"],
    "stats reset": [b"stats reset"],
    "stats detail": [b"stats detail on", b"stats detail off", b"stats detail dump"],
    "stats cachedump": [b"stats cachedump 1 10", b"stats cachedump 5 0", b"stats cachedump 63 4294967295"],
}
VERB_OF = {line: verb for verb, lines in LINES.items() for line in lines}


def line(choose: random.Random, text: str) -> Made:
    """One line."""
    chosen = text.encode()
    verb = VERB_OF[chosen]
    cells = [("administration", verb)]
    if chosen.endswith(b" noreply"):
        cells.append(("quiet", f"{verb} noreply"))
    return Made(spelled(choose, chosen, cells) + b"\r\n", tuple(cells))


ADMINISTRATION: Weighted = [(1, line, text.decode()) for text in VERB_OF]
