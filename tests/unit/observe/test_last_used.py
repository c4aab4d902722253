"""The metric of those who have two secrets."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from mcproxy.observe.last_used import NAME, LastUsedCollector
from mcproxy.observe.together import Together, families_of


def registry(*rows: tuple[str, str, float]) -> CollectorRegistry:
    made = CollectorRegistry()
    made.register(LastUsedCollector(lambda: rows))
    return made


def test_a_sample_for_each_secret() -> None:
    text = generate_latest(registry(("sammy", "newer", 1.7e9), ("sammy", "older", 0))).decode()
    assert f'{NAME}{{secret="newer",user="sammy"}} 1.7e+09' in text
    assert f'{NAME}{{secret="older",user="sammy"}} 0.0' in text


def test_of_several_workers_the_last_one_counts() -> None:
    together = Together()
    together.update(1, families_of(registry(("sammy", "older", 1000))))
    together.update(2, families_of(registry(("sammy", "older", 3000))))
    together.update(3, families_of(registry(("sammy", "older", 2000))))
    (family,) = together.collect()
    assert [sample.value for sample in family.samples] == [3000]
