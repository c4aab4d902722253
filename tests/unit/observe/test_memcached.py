"""memcached's figures under the names of memcached_exporter."""

import subprocess

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from mcproxy.observe.memcached import Figures, MemcachedCollector
from mcproxy.observe.memcached_names import ITEMS, SERVER, SETTINGS, SLABS

EXPORTERS = """
accepting_connections commands_total connections_listener_disabled_total connections_rejected_total
connections_total connections_yielded_total current_bytes current_connections current_items direct_reclaims_total
extstore_bytes_evicted_total extstore_bytes_fragmented extstore_bytes_limit extstore_bytes_read_total
extstore_bytes_used extstore_bytes_written_total extstore_compact_lost_total extstore_compact_rescued_total
extstore_compact_skipped_total extstore_io_queue_depth extstore_objects_evicted_total extstore_objects_read_total
extstore_objects_used extstore_objects_written_total extstore_pages_allocated_total extstore_pages_evicted_total
extstore_pages_free extstore_pages_reclaimed_total extstore_pages_used item_no_memory_total item_too_large_total
items_evicted_total items_reclaimed_total items_total limit_bytes lru_crawler_enabled lru_crawler_hot_max_factor
lru_crawler_hot_percent lru_crawler_items_checked_total lru_crawler_maintainer_thread
lru_crawler_moves_to_cold_total lru_crawler_moves_to_warm_total lru_crawler_moves_within_lru_total
lru_crawler_reclaimed_total lru_crawler_sleep lru_crawler_starts_total lru_crawler_to_crawl
lru_crawler_warm_max_factor lru_crawler_warm_percent malloced_bytes max_connections process_system_cpu_seconds_total
process_user_cpu_seconds_total read_bytes_total slab_chunk_size_bytes slab_chunks_free slab_chunks_free_end
slab_chunks_per_page slab_chunks_used slab_cold_items slab_commands_total slab_current_chunks slab_current_items
slab_current_pages slab_hot_age_seconds slab_hot_items slab_items_age_seconds slab_items_crawler_reclaimed_total
slab_items_evicted_nonzero_total slab_items_evicted_time_seconds slab_items_evicted_total
slab_items_evicted_unfetched_total slab_items_expired_unfetched_total slab_items_moves_to_cold
slab_items_moves_to_warm slab_items_moves_within_lru slab_items_outofmemory_total slab_items_reclaimed_total
slab_items_tailrepairs_total slab_lru_hits_total slab_mem_requested_bytes slab_temporary_items slab_warm_age_seconds
slab_warm_items time_seconds up uptime_seconds version written_bytes_total
"""
"""All that memcached_exporter 0.15 has, without `memcached_`: read off its source, not off ours."""


def exposed(*rows: tuple[str, Figures | None]) -> dict[tuple[str, ...], float]:
    """Once promtool has had nothing against it."""
    registry = CollectorRegistry()
    registry.register(MemcachedCollector(lambda: rows))
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=generate_latest(registry), capture_output=True, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in registry.collect()
        for sample in family.samples
    }


def everything() -> Figures:
    operations = ("get", "delete", "incr", "decr", "cas", "touch")
    commands = {f"{name}_{result}": 1.0 for name in operations for result in ("hits", "misses")}
    commands |= {"cas_badval": 1.0, "cmd_set": 10.0, "cmd_flush": 1.0}
    items = dict.fromkeys((*ITEMS, "hits_to_hot", "hits_to_warm", "hits_to_cold", "hits_to_temp"), 2.0)
    return Figures(
        version="1.6.18",
        server={**dict.fromkeys(SERVER, 3.0), **commands},
        items={1: items},
        slabs={1: {**dict.fromkeys(SLABS, 4.0), **commands}},
        settings=dict.fromkeys(SETTINGS, 5.0),
    )


def test_the_names_are_those_of_the_exporter() -> None:
    found = exposed(("cache", everything()))
    assert {key[0].removeprefix("memcached_") for key in found} == set(EXPORTERS.split())
    assert all("upstream=cache" in key for key in found)


def test_set_is_counted_without_cas() -> None:
    found = exposed(("cache", everything()))
    assert found["memcached_commands_total", "command=set", "status=hit", "upstream=cache"] == 10 - 3
    assert found["memcached_slab_commands_total", "command=set", "slab=1", "status=hit", "upstream=cache"] == 10 - 2


def test_what_is_not_told_is_left_out() -> None:
    found = exposed(("cache", Figures(server={"curr_items": 7.0})), ("guard", Figures()), ("gone", None))
    assert found == {
        ("memcached_up", "upstream=cache"): 1,
        ("memcached_current_items", "upstream=cache"): 7,
        ("memcached_up", "upstream=guard"): 1,
        ("memcached_up", "upstream=gone"): 0,
    }
