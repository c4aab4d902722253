"""A real Prometheus scrapes the real program as the example says, and rules and dashboard find in it what they ask for.

Two programs: a guard of two workers before memcached, scraped over loopback, and a gateway before the guard, scraped
over TLS with a token.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcproxy.auth.verifiers import make_verifier
from tests.integration.conftest import StartProxy
from tests.support.certificates import Certificates
from tests.support.configuration import ITERATIONS, PASSWORDS, server_tls
from tests.support.memcached import Memcached
from tests.support.packets import GET, with_key
from tests.support.prometheus import Prometheus
from tests.support.proxy import Proxy, token
from tests.support.reloading import Reloads, replace, users_text
from tests.support.waiting import eventually

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = json.loads((DEPLOY / "grafana/mcproxy.json").read_text())
RULES = [
    rule
    for name in ("recording", "alerts")
    for group in yaml.safe_load((DEPLOY / f"prometheus/{name}.yaml").read_text())["groups"]
    for rule in group["rules"]
]
# Rates over a few scrapes of a second each; every choice at the top of the dashboard is "All".
VARIABLES = {
    "$__rate_interval": "5s",
    **{f"${variable['name']}": ".*" for variable in DASHBOARD["templating"]["list"]},
}
# A name of a metric with its matchers; or a text, which is skipped.
SELECTOR = re.compile(r'"[^"]*"|(?<![\w:])((?:[a-z]+:)?(?:mcproxy|memcached|process)[a-z0-9_:]+|up(?=\{))(\{[^{}]*\})?')

TOKEN = "the-token-of-the-admin-port-is-long-enough"

pytestmark = pytest.mark.thorough


@pytest.fixture(scope="module")
def guard(start_proxy: StartProxy, memcached: Memcached, certificates: Certificates) -> Proxy:
    """sammy has two passwords there, so that there are metrics of when they were used."""
    mutual = server_tls(
        certificates, client_ca=str(certificates.authority), crl=str(certificates.revocation_list("monitored"))
    )
    listeners = {"mutual": {"bind": ["127.0.0.1:0"], "allow": ["127.0.0.1"], "tls": mutual, "authentication": ["sasl"]}}
    program = start_proxy(
        memcached.address, workers=2, listeners=listeners, admin={"bind": "127.0.0.1:0"}, watch_files=False
    )
    reloads = Reloads(program)
    salt = b"of both secrets."
    newer, older = (make_verifier(password, ITERATIONS, salt) for password in ("the new one", PASSWORDS["sammy"]))
    others = {user: password for user, password in PASSWORDS.items() if user != "sammy"}
    replace(reloads.users, users_text({"sammy": newer}) + users_text({"sammy": older}) + users_text(others))
    reloads.succeeds()
    return program


@pytest.fixture(scope="module")
def gateway(start_proxy: StartProxy, guard: Proxy, certificates: Certificates, short_path: Callable[[], Path]) -> Proxy:
    """Its admin port is reached from other machines, as far as the configuration knows."""
    directory = short_path()
    for name, secret in (("password", PASSWORDS["root"]), ("token", TOKEN)):
        (directory / name).touch(mode=0o600)
        (directory / name).write_text(secret + "\n")
    upstream = {
        "tls": {"ca": str(certificates.authority), "server_name": "localhost"},
        "login": {
            "method": "sasl",
            "mechanism": "PLAIN",
            "username": "root",
            "password_file": str(directory / "password"),
        },
    }
    admin = {
        "bind": "127.0.0.1:0",
        "tls": server_tls(certificates),
        "token_file": str(directory / "token"),
    }
    return start_proxy(guard.address("tls"), upstream=upstream, admin=admin)


@pytest.fixture(scope="module")
def prometheus(
    guard: Proxy, gateway: Proxy, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """With the example's configuration, but for places and times."""
    directory = tmp_path_factory.mktemp("prometheus")
    (directory / "token").write_text(TOKEN + "\n")
    configuration: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(DEPLOY / "prometheus" / name) for name in configuration["rule_files"]]
    local, remote = configuration["scrape_configs"]
    local["static_configs"] = [{"targets": [guard.address("admin")]}]
    remote["static_configs"] = [{"targets": [gateway.address("admin")]}]
    assert set(remote["tls_config"]) == {"ca_file"}
    remote["tls_config"]["ca_file"] = str(certificates.authority)
    remote["authorization"]["credentials_file"] = str(directory / "token")
    with Prometheus(directory, configuration) as running:
        yield running


@pytest.fixture(scope="module")
def traffic(guard: Proxy, gateway: Proxy, prometheus: Prometheus) -> Callable[[], None]:
    """Something of everything that is counted: each call some requests, most of them once at the beginning."""

    def some() -> None:
        with guard.logged_in("sammy") as text, guard.logged_in_binary() as binary, guard.logged_in("reader") as reader:
            text.send(b"set app:a 0 0 1\r\nx\r\nget app:a\r\nget app:none\r\n")
            assert text.receive(len(b"STORED\r\nVALUE app:a 0 1\r\nx\r\nEND\r\nEND\r\n")).startswith(b"STORED")
            binary.ask(with_key(GET, b"app:a"))
            reader.send(b"set app:a 0 0 1\r\nx\r\nget app:\x01\r\n")
            assert reader.line() == b"CLIENT_ERROR access denied\r\n"
            assert reader.line().startswith((b"CLIENT_ERROR", b"ERROR"))
        with gateway.logged_in() as through:
            through.send(b"get app:a\r\n")
            assert through.line().startswith(b"VALUE")

    # Not often: it would be slowed, and sammy with it.
    with guard.connect() as stranger:
        stranger.send(token("sammy", "a guess"))
        assert stranger.line() == b"CLIENT_ERROR authentication failure\r\n"
    # What is counted for the first time has no rate yet: so there is something before the first scrape and after it.
    some()
    eventually("the first scrapes", lambda: len(prometheus.query("mcproxy_hits_total > 0")) == 2, within=20)
    reloads = Reloads(guard)
    reloads.settings["limits"] = {"idle_timeout": "1h"}
    reloads.succeeds()
    some()
    return some


def test_both_targets_are_scraped_and_every_rule_is_evaluated(
    prometheus: Prometheus, traffic: Callable[[], None]
) -> None:
    targets = prometheus.targets()
    assert {job: (target["health"], target["lastError"]) for job, target in targets.items()} == {
        "mcproxy": ("up", ""),
        "mcproxy-remote": ("up", ""),
    }
    eventually("every rule was evaluated", lambda: all(rule["health"] != "unknown" for rule in prometheus.rules()))
    rules = prometheus.rules()
    assert len(rules) == len(RULES)
    assert [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"] == []


def test_every_query_of_the_dashboard_returns_data(prometheus: Prometheus, traffic: Callable[[], None]) -> None:
    queries = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
    queries += [annotation["expr"] for annotation in DASHBOARD["annotations"]["list"]]
    assert len(queries) > 50
    returning_data(prometheus, [substituted(query) for query in queries], traffic)


def test_every_choice_of_the_dashboard_has_something_to_choose(
    prometheus: Prometheus, traffic: Callable[[], None]
) -> None:
    found = {}
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert asked is not None
            found[variable["name"]] = {labels[asked[2]] for labels in prometheus.series(substituted(asked[1]))}
    assert found == {
        "job": {"mcproxy", "mcproxy-remote"},
        "instance": {target["labels"]["instance"] for target in prometheus.targets().values()},
        "listener": {"plain", "tls", "socket", "mutual"},
        "upstream": {"upstream"},
    }


def test_everything_that_rules_ask_about_is_there(prometheus: Prometheus, traffic: Callable[[], None]) -> None:
    """Most alerts return nothing where all is well: so each series that they look at is asked for by itself."""
    selectors = {name + (matchers or "") for rule in RULES for name, matchers in SELECTOR.findall(rule["expr"]) if name}
    assert len(selectors) > 40
    returning_data(prometheus, sorted(selectors), traffic)
    returning_data(prometheus, [rule["expr"] for rule in RULES if "record" in rule], traffic)


def test_no_alert_fires_where_nothing_is_wrong(prometheus: Prometheus, traffic: Callable[[], None]) -> None:
    firing = {rule["name"] for rule in prometheus.rules() if rule.get("state") == "firing"}
    assert firing == set()


def substituted(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    assert "$" not in query, query
    return query


def returning_data(prometheus: Prometheus, queries: list[str], traffic: Callable[[], None]) -> None:
    """Each of them, while there is traffic. Raises AssertionError with those that don't."""
    missing = queries

    def none_is_missing() -> bool:
        nonlocal missing
        traffic()
        missing = [query for query in missing if not has_data(prometheus.query(query))]
        return not missing

    try:
        eventually("every query returns data", none_is_missing, within=20, every=0.2)
    except AssertionError:
        raise AssertionError("these return nothing:\n" + "\n".join(missing)) from None


def has_data(samples: list[dict[str, Any]]) -> bool:
    return any(sample["value"][1] != "NaN" for sample in samples)
