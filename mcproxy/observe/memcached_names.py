"""The names that prometheus/memcached_exporter has for memcached's figures (its pkg/exporter/exporter.go, at 0.15).

By memcached's own name (protocol.txt, "General-purpose statistics"): that of the metric, without `memcached_`, and what
it tells.
"""

from typing import Final, NamedTuple


class Name(NamedTuple):
    """Of a metric."""

    name: str
    documentation: str


SERVER: Final = {
    "uptime": Name("uptime_seconds", "Seconds since memcached started."),
    "time": Name("time_seconds", "The time, by memcached's clock."),
    "rusage_user": Name("process_user_cpu_seconds_total", "CPU time of memcached in user mode."),
    "rusage_system": Name("process_system_cpu_seconds_total", "CPU time of memcached in the kernel."),
    "bytes_read": Name("read_bytes_total", "Bytes that memcached has received."),
    "bytes_written": Name("written_bytes_total", "Bytes that memcached has sent."),
    "curr_connections": Name("current_connections", "Connections to memcached now."),
    "total_connections": Name("connections_total", "Connections that memcached has accepted."),
    "rejected_connections": Name("connections_rejected_total", "Connections over memcached's limit (-c)."),
    "conn_yields": Name("connections_yielded_total", "Times that a connection gave way to others (-R)."),
    "listen_disabled_num": Name("connections_listener_disabled_total", "Times that memcached stopped accepting."),
    "accepting_conns": Name("accepting_connections", "1 if memcached accepts connections."),
    "bytes": Name("current_bytes", "Bytes that items take now."),
    "limit_maxbytes": Name("limit_bytes", "Bytes that items may take (-m)."),
    "curr_items": Name("current_items", "Items that are stored now."),
    "total_items": Name("items_total", "Items that were ever stored."),
    "evictions": Name("items_evicted_total", "Items that had to go before their time, for want of memory."),
    "reclaimed": Name("items_reclaimed_total", "Items stored in the place of one that had expired."),
    "store_too_large": Name("item_too_large_total", "Items that were too large to be stored (-I)."),
    "store_no_memory": Name("item_no_memory_total", "Items that could not be stored for want of memory."),
    "direct_reclaims": Name("direct_reclaims_total", "Times that a request had to make room itself."),
    "total_malloced": Name("malloced_bytes", "Bytes of memory in slab pages."),
    "lru_crawler_starts": Name("lru_crawler_starts_total", "Times that the LRU crawler was started."),
    "crawler_reclaimed": Name("lru_crawler_reclaimed_total", "Items that the LRU crawler has freed."),
    "crawler_items_checked": Name("lru_crawler_items_checked_total", "Items that the LRU crawler has looked at."),
    "moves_to_cold": Name("lru_crawler_moves_to_cold_total", "Items moved from HOT or WARM to COLD."),
    "moves_to_warm": Name("lru_crawler_moves_to_warm_total", "Items moved from COLD to WARM."),
    "moves_within_lru": Name("lru_crawler_moves_within_lru_total", "Items moved within HOT or WARM."),
    "extstore_compact_lost": Name("extstore_compact_lost_total", "extstore: items lost in a compaction."),
    "extstore_compact_rescues": Name("extstore_compact_rescued_total", "extstore: items that a compaction has moved."),
    "extstore_compact_skipped": Name(
        "extstore_compact_skipped_total", "extstore: unused items that a compaction dropped."
    ),
    "extstore_page_allocs": Name("extstore_pages_allocated_total", "extstore: pages that were allocated."),
    "extstore_page_evictions": Name("extstore_pages_evicted_total", "extstore: pages that were evicted."),
    "extstore_page_reclaims": Name("extstore_pages_reclaimed_total", "extstore: empty pages that were freed."),
    "extstore_pages_free": Name("extstore_pages_free", "extstore: pages without items."),
    "extstore_pages_used": Name("extstore_pages_used", "extstore: pages with items."),
    "extstore_objects_evicted": Name("extstore_objects_evicted_total", "extstore: items that were evicted."),
    "extstore_objects_read": Name("extstore_objects_read_total", "extstore: items that were read."),
    "extstore_objects_written": Name("extstore_objects_written_total", "extstore: items that were written."),
    "extstore_objects_used": Name("extstore_objects_used", "extstore: items that are stored now."),
    "extstore_bytes_evicted": Name("extstore_bytes_evicted_total", "extstore: bytes that were evicted."),
    "extstore_bytes_written": Name("extstore_bytes_written_total", "extstore: bytes that were written."),
    "extstore_bytes_read": Name("extstore_bytes_read_total", "extstore: bytes that were read."),
    "extstore_bytes_used": Name("extstore_bytes_used", "extstore: bytes that items take now."),
    "extstore_bytes_fragmented": Name("extstore_bytes_fragmented", "extstore: bytes of pages that no item uses."),
    "extstore_limit_maxbytes": Name("extstore_bytes_limit", "extstore: bytes that items may take."),
    "extstore_io_queue": Name("extstore_io_queue_depth", "extstore: items that wait to be read or written."),
}
"""`stats`, and what `stats slabs` says of all classes."""

ITEMS: Final = {
    "number": Name("slab_current_items", "Items of the slab class that are stored now."),
    "age": Name("slab_items_age_seconds", "Age of the oldest item."),
    "crawler_reclaimed": Name("slab_items_crawler_reclaimed_total", "Items that the LRU crawler has freed."),
    "evicted": Name("slab_items_evicted_total", "Items that had to go before their time."),
    "evicted_nonzero": Name("slab_items_evicted_nonzero_total", "Those of them that had an expiration time."),
    "evicted_time": Name(
        "slab_items_evicted_time_seconds", "Seconds for which the last item evicted was not asked for."
    ),
    "evicted_unfetched": Name("slab_items_evicted_unfetched_total", "Items evicted that nobody had asked for."),
    "expired_unfetched": Name("slab_items_expired_unfetched_total", "Items expired that nobody had asked for."),
    "outofmemory": Name("slab_items_outofmemory_total", "Items that could not be stored for want of memory."),
    "reclaimed": Name("slab_items_reclaimed_total", "Items stored in the place of one that had expired."),
    "tailrepairs": Name("slab_items_tailrepairs_total", "Times that the end of the LRU was repaired."),
    "moves_to_cold": Name("slab_items_moves_to_cold", "Items moved from HOT or WARM to COLD."),
    "moves_to_warm": Name("slab_items_moves_to_warm", "Items moved from COLD to WARM."),
    "moves_within_lru": Name("slab_items_moves_within_lru", "Items moved within HOT or WARM."),
    "mem_requested": Name("slab_mem_requested_bytes", "Bytes that items of the slab class take."),
    "number_hot": Name("slab_hot_items", "Items in the HOT LRU."),
    "number_warm": Name("slab_warm_items", "Items in the WARM LRU."),
    "number_cold": Name("slab_cold_items", "Items in the COLD LRU."),
    "number_temp": Name("slab_temporary_items", "Items in the TEMPORARY LRU."),
    "age_hot": Name("slab_hot_age_seconds", "Age of the oldest item in the HOT LRU."),
    "age_warm": Name("slab_warm_age_seconds", "Age of the oldest item in the WARM LRU."),
}
"""`stats items`, of each slab class."""

SLABS: Final = {
    "chunk_size": Name("slab_chunk_size_bytes", "Bytes of a chunk."),
    "chunks_per_page": Name("slab_chunks_per_page", "Chunks in a page."),
    "total_pages": Name("slab_current_pages", "Pages of the slab class."),
    "total_chunks": Name("slab_current_chunks", "Chunks of the slab class."),
    "used_chunks": Name("slab_chunks_used", "Chunks that hold an item."),
    "free_chunks": Name("slab_chunks_free", "Chunks that hold none."),
    "free_chunks_end": Name("slab_chunks_free_end", "Free chunks at the end of the last page."),
}
"""`stats slabs`, of each slab class."""

SETTINGS: Final = {
    "maxconns": Name("max_connections", "Connections that there may be (-c)."),
    "lru_crawler": Name("lru_crawler_enabled", "1 if the LRU crawler runs."),
    "lru_crawler_sleep": Name("lru_crawler_sleep", "Microseconds between two steps of the LRU crawler."),
    "lru_crawler_tocrawl": Name("lru_crawler_to_crawl", "Most items of a slab class that one run looks at; 0 for all."),
    "lru_maintainer_thread": Name("lru_crawler_maintainer_thread", "1 if a thread of its own sorts the LRUs."),
    "hot_lru_pct": Name("lru_crawler_hot_percent", "Per cent of a slab class for the HOT LRU."),
    "warm_lru_pct": Name("lru_crawler_warm_percent", "Per cent of a slab class for the WARM LRU."),
    "hot_max_factor": Name("lru_crawler_hot_max_factor", "Most age of HOT items, in that of the oldest COLD one."),
    "warm_max_factor": Name("lru_crawler_warm_max_factor", "Most age of WARM items, in that of the oldest COLD one."),
}
"""`stats settings`. Those that are `yes` or `no` are 1 or 0."""

LRU_HITS: Final = {"hits_to_hot": "hot", "hits_to_warm": "warm", "hits_to_cold": "cold", "hits_to_temp": "temporary"}
"""Of `stats items`: the value of the label `lru`."""

COMMANDS: Final = {
    **{(command, "hit"): f"{command}_hits" for command in ("get", "delete", "incr", "decr", "cas", "touch")},
    **{(command, "miss"): f"{command}_misses" for command in ("get", "delete", "incr", "decr", "cas", "touch")},
    ("cas", "badval"): "cas_badval",
    ("flush", "hit"): "cmd_flush",
}
"""Command and status, and memcached's name for how many there were, of the server and of each slab class."""
