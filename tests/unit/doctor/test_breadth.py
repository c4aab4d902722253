"""What lets in more than is meant, by the configuration alone."""

from pathlib import Path

import pytest
import yaml

from mcproxy.auth.users import Users
from mcproxy.auth.verifiers import Verifier, make_verifier
from mcproxy.doctor.breadth import allowlists, grants, pass_words, ways_in
from mcproxy.doctor.upstream_facts import UpstreamFacts
from mcproxy.doctor.upstream_holes import dump_commands
from tests.unit.doctor.examining import deployment, told


def verifier(iterations: int) -> Verifier:
    return make_verifier("password", iterations)


@pytest.mark.parametrize(
    ("allow", "verdict"),
    [
        (["10.0.0.0/24"], "ok"),
        (["10.0.0.0/12"], "ok"),
        (["10.0.0.0/8"], "note"),
        (["198.18.0.0/16"], "ok"),
        (["8.0.0.0/15"], "finding"),
        (["0.0.0.0/0"], "finding"),
        (["0.0.0.0/1", "128.0.0.0/1"], "finding"),
        (["::/0"], "finding"),
        (["2a00::/16"], "finding"),
        (["2a00:1450::/32"], "ok"),
        (["fd00::/8"], "note"),
        (["127.0.0.0/8"], "ok"),
        (["100.64.0.0/10"], "note"),
        (["100.64.0.0/16"], "ok"),
        (["240.0.0.0/4"], "note"),
    ],
)
def test_allowlists(allow, verdict):
    assert verdict in {result.verdict for result in allowlists(deployment({"allow": allow}))}
    if verdict != "finding":
        assert "finding" not in {result.verdict for result in allowlists(deployment({"allow": allow}))}


@pytest.mark.parametrize(
    ("network", "kind"),
    [
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared (RFC 6598: a carrier's customers, and some clouds' pods)"),
        ("240.0.0.0/4", "reserved"),
        ("224.0.0.0/4", "multicast"),
        ("8.0.0.0/15", "public"),
    ],
)
def test_addresses_are_called_what_they_are(network, kind):
    [(_, seen)] = told(allowlists(deployment({"allow": [network]})))
    assert f" {kind} addresses" in seen


def test_balancers_that_may_be_anybody():
    found = allowlists(deployment({"proxy_protocol": ["0.0.0.0/0"]}))
    assert told(found) == [("finding", "proxy_protocol has 0.0.0.0/0: that is every address of IPv4")]


ROLES = {
    "app": {"commands": ["read", "write"], "keys": ["app:*"]},
    "all": {"commands": ["*"], "keys": ["*"]},
    "wide": {"commands": ["read", "write"], "keys": ["*"]},
    "counts": {"commands": ["stats"], "keys": ["*"]},
    "lists": {"commands": ["inspect"], "keys": ["*"]},
}


def granting(*roles: str, default: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    given = [{"user": "sammy", "roles": list(roles)}]
    return told(grants(deployment(roles=ROLES, grants=given, default_roles=list(default))))


def test_grants():
    assert granting("app") == [("ok", "nobody may do everything")]
    assert granting("all")[0] == (
        "finding",
        "user sammy may change memcached's own settings and stop it (class admin)",
    )
    assert granting("wide") == [("note", "user sammy may change every key")]
    assert granting("counts") == [("note", "user sammy may read memcached's statistics (class stats)")]
    assert granting("app", default=("wide",)) == [
        ("note", "every user of the users file has wide"),
        ("note", "every user (default_roles) may change every key"),
    ]
    assert granting("app", default=("all",))[0][0] == "finding"
    assert granting("app", default=("app",)) == [("note", "every user of the users file has app")]


def test_users_who_may_do_nothing():
    users = Users([("sammy", verifier(32768)), ("idle", verifier(32768))])
    given = [{"user": "sammy", "roles": ["app"]}]
    assert told(grants(deployment(roles=ROLES, grants=given, users=users))) == [
        ("note", "idle may log in, and do nothing")
    ]


@pytest.mark.parametrize(("enabled", "verdict"), [("yes", "finding"), ("no", "ok"), (None, "finding")])
def test_dump_commands(enabled, verdict):
    """What isn't told counts as enabled."""
    facts = UpstreamFacts(settings={} if enabled is None else {"dump_enabled": enabled})
    given = [{"user": "sammy", "roles": ["lists"]}]
    assert [one.verdict for one in dump_commands(deployment(roles=ROLES, grants=given, facts=facts))] == [verdict]


def test_verifiers():
    assert told(pass_words(deployment(users=Users([("sammy", verifier(32768))]))))[0][0] == "ok"
    weak = pass_words(deployment(users=Users([("sammy", verifier(4096)), ("root", verifier(32768))])))
    assert told(weak) == [("finding", "sammy: as few as 4096 iterations, and 32768 are usual")]


def test_ways_in():
    by_address = {"grants": [{"address": "10.0.0.7/32", "as": "old", "roles": ["app"]}], "roles": ROLES}
    assert told(ways_in(deployment({"authentication": ["address"]}, **by_address))) == [
        ("finding", "an address is all that is asked of 10.0.0.7/32 as old")
    ]
    assert told(ways_in(deployment()))[0] == ("ok", "asks for sasl")


@pytest.mark.parametrize(("role", "verdict"), [("app", "note"), ("wide", "finding"), ("reads", "finding")])
def test_everybody_of_this_machine_is_let_in(role, verdict):
    """To a prefix, as a gateway's programs may be meant to; to every key is more than anybody means."""
    roles = {**ROLES, "reads": {"commands": ["read"], "keys": ["*"]}}
    anybody = {"bind": ["127.0.0.1:11212"], "allow": ["127.0.0.1/32"], "authentication": ["none"]}
    assert [one.verdict for one in ways_in(deployment(anybody, roles=roles, default_roles=[role]))] == [verdict]
    listener = {"bind": ["unix:/run/a.sock"], "authentication": ["none"]}
    by_socket = deployment(None, listeners={"private": listener}, roles=roles, default_roles=[role])
    assert [one.verdict for one in ways_in(by_socket)] == ["note"]


@pytest.mark.parametrize(("balancers", "verdict"), [(["127.0.0.1/32"], "finding"), ([], "ok")])
def test_a_balancer_brings_clients_from_elsewhere_to_loopback(balancers, verdict):
    by_address = {"grants": [{"address": "10.0.0.7/32", "as": "old", "roles": ["app"]}], "roles": ROLES}
    listener = {"bind": ["127.0.0.1:11212"], "authentication": ["address"], "proxy_protocol": balancers}
    assert [one.verdict for one in ways_in(deployment(listener, **by_address))] == [verdict]


def test_what_is_shipped_for_systemd_is_sound():
    """docs/systemd.md installs it as it is."""
    shipped = yaml.safe_load((Path(__file__).parents[3] / "deploy/systemd/mcproxy.yaml").read_text())
    examined = deployment(None, **shipped)
    results = [one for look in (allowlists, ways_in, grants, pass_words) for one in look(examined)]
    assert [one.seen for one in results if one.verdict not in ("ok", "note")] == []
