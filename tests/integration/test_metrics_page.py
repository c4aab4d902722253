"""docs/metrics.md says what a running program does."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.integration.conftest import StartProxy
from tests.support.memcached import Memcached
from tests.support.metrics_about import COMMON, GROUPS
from tests.support.metrics_page import Exposed, exposed, page, queries

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
ABOUT = {name: about for group in GROUPS for name, about in group.metrics.items()}


@pytest.fixture(scope="module")
def found(start_proxy: StartProxy, memcached: Memcached) -> dict[str, Exposed]:
    """After requests of every fate."""
    program = start_proxy(memcached.address, admin={"bind": "127.0.0.1:0", "upstream_statistics": True})
    with program.logged_in("sammy") as client:
        client.send(b"set app:a 0 0 1\r\nx\r\nget app:a\r\nget other\r\nget app:none\r\n")
        assert [client.line() for _ in range(6)][-1] == b"END\r\n"
    return exposed(program)


def test_the_page_is_up_to_date(found: dict[str, Exposed]) -> None:
    assert PAGE.read_text() == page(found), "run scripts/generate-metrics-page"


def test_every_metric_is_on_it_and_nothing_else(found: dict[str, Exposed]) -> None:
    ours = {name for name in found if not name.startswith("memcached_")}
    assert ours == set(ABOUT)
    text = PAGE.read_text()
    assert [name for name in found if f"| `{name}` |" not in text] == []


def test_labels_are_those_that_there_are(found: dict[str, Exposed]) -> None:
    # Without samples there are none to compare: an upstream's certificates, users with two passwords.
    without = {name for name in ABOUT if not found[name].labels and ABOUT[name].labels}
    assert without == {
        "mcproxy_upstream_certificate_expiry_timestamp_seconds",
        "mcproxy_user_secret_last_used_timestamp_seconds",
    }
    assert {name: set(ABOUT[name].labels) for name in ABOUT.keys() - without} == {
        name: set(found[name].labels) for name in ABOUT.keys() - without
    }
    for about in ABOUT.values():
        assert all(values or label in COMMON for label, values in about.labels.items())


def test_prometheus_understands_the_queries(tmp_path: Path) -> None:
    rules = [{"record": f"example:{number}", "expr": query} for number, query in enumerate(queries())]
    assert len(rules) > 20
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "page", "rules": rules}]}))
    checked = subprocess.run(["promtool", "check", "rules", str(path)], capture_output=True, timeout=30, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
