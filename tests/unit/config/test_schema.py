"""What each key takes on its own, and how its mistakes are told."""

import ipaddress
from pathlib import Path

import pytest
from pydantic import ValidationError

from mcproxy.config.addresses import TcpAddress, UnixAddress
from mcproxy.config.names import parse_certificate_name

from .building import DELETE, RIGHT, changed, problems_after, settings_of

LOCAL = "listeners.local"
TOO_LONG = "k" * 251


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        # keys that are missing or not known, at every depth
        ("listeners", DELETE, "listeners: is required"),
        ("listeners", {}, "listeners: must not be empty"),
        ("upstream", DELETE, 'upstream: is required, such as {address: "127.0.0.1:11211"}'),
        ("upstream.address", DELETE, 'upstream.address: is required, such as "127.0.0.1:11211"'),
        (f"{LOCAL}.bind", DELETE, 'listeners.local.bind: is required, such as ["127.0.0.1:11211"]'),
        (f"{LOCAL}.authentication", DELETE, "listeners.local.authentication: is required, such as [sasl, token]"),
        ("listenrs", {}, 'listenrs: unknown key; did you mean "listeners"?'),
        (f"{LOCAL}.protocol", [], 'listeners.local.protocol: unknown key; did you mean "protocols"?'),
        (f"{LOCAL}.Allow", [], 'listeners.local.Allow: unknown key; did you mean "allow"?'),
        ("listeners.private.tls.certficate", "x", 'tls.certficate: unknown key; did you mean "certificate"?'),
        ("limits.idel_timeout", "1s", 'limits.idel_timeout: unknown key; did you mean "idle_timeout"?'),
        ("admin.zzz", 1, "admin.zzz: unknown key; known are: bind, health_bind"),
        ("roles.app.key", [], 'roles.app.key: unknown key; did you mean "keys"?'),
        ("grants", [{"usr": "a", "roles": []}], 'grants[0].usr: unknown key; did you mean "user"?'),
        ("grants", [{"user": "a", "as_": "b", "roles": []}], 'grants[0].as_: unknown key; did you mean "as"?'),
        ("grants", [{"user": "a"}], "grants[0].roles: is required, such as [app]"),
        ("grants", [{"peer": {"uuid": 1}, "as": "a", "roles": []}], 'peer.uuid: unknown key; did you mean "uid"?'),
        # wrong kinds of values
        ("listeners", ["a"], 'listeners: must be a section, that is lines of "key: value" under it'),
        ("listeners.local", "x", "listeners.local: must be a section"),
        ("grants", {"user": "a"}, "grants: must be a list"),
        ("grants", ["sammy"], "grants[0]: must be a section"),
        (f"{LOCAL}.bind", "127.0.0.1:1", 'listeners.local.bind: must be a list, such as ["127.0.0.1:11211"]'),
        (f"{LOCAL}.bind", [], "listeners.local.bind: must not be empty"),
        (f"{LOCAL}.bind", ["127.0.0.1:1", "127.0.0.1:1"], "listeners.local.bind: 127.0.0.1:1 is given twice"),
        (f"{LOCAL}.bind", ["nowhere"], 'listeners.local.bind[0]: "nowhere" has no port'),
        (f"{LOCAL}.allow", "127.0.0.1", 'listeners.local.allow: must be a list, such as ["10.0.0.0/24"]'),
        (f"{LOCAL}.allow", ["10.0.0.5/24"], 'allow[0]: "10.0.0.5/24" is an address inside a network'),
        (f"{LOCAL}.protocols", ["http"], 'protocols[0]: "http" is not known; known are: binary, text'),
        (f"{LOCAL}.protocols", [], "listeners.local.protocols: must not be empty"),
        (f"{LOCAL}.authentication", [], "authentication: must not be empty, such as [sasl, token]"),
        (f"{LOCAL}.authentication", ["saslx"], 'authentication[0]: "saslx" is not known; did you mean "sasl"?'),
        (f"{LOCAL}.authentication", ["sasl", "sasl"], "authentication: sasl is given twice"),
        (f"{LOCAL}.plaintext", "yes", "plaintext: must be true or false"),
        (f"{LOCAL}.plaintext_passwords", 1, "plaintext_passwords: must be true or false"),
        ("listeners.sidecar.mode", 0o660, 'mode: must be a file mode in quotes, such as "0660"'),
        ("listeners.sidecar.mode", "0888", 'mode: "0888" is not a file mode'),
        ("listeners.sidecar.mode", "4755", 'mode: "4755" is not a file mode'),
        ("listeners.sidecar.group", "a b", "group: must be a group's name or number"),
        ("listeners.sidecar.group", -1, "group: must be a group's name or number"),
        ("listeners.a b", RIGHT["listeners"]["local"], 'listeners.a b: "a b" is not a usable name'),
        ("roles.a b", {"commands": ["read"]}, 'roles.a b: "a b" is not a usable name'),
        ("listeners.private.tls.minimum_version", "1.1", 'minimum_version: must be "1.2" or "1.3"'),
        ("listeners.private.tls.minimum_version", 1.1, 'minimum_version: must be "1.2" or "1.3"'),
        ("listeners.private.tls.client_certificate", "maybe", "known are: optional, required"),
        ("listeners.private.tls.key", 5, "tls.key: must be a file name"),
        ("listeners.private.tls.key", "", "tls.key: must be a file name"),
        ("users_file", ["a"], "users_file: must be a file name"),
        ("upstream.links", 0, "upstream.links: must be at least 1"),
        ("upstream.links", 65, "upstream.links: must be at most 64"),
        ("upstream.links", "two", "upstream.links: must be a whole number"),
        ("upstream.links", True, "upstream.links: must be a whole number"),
        ("upstream.links", 1.5, "upstream.links: must be a whole number"),
        ("upstream.timeout", "0s", "upstream.timeout: must be more than 0s"),
        ("upstream.timeout", 1, 'upstream.timeout: 1 has no unit; write "1s"'),
        ("limits.value", "2GiB", "limits.value: must be at most 1GiB"),
        ("limits.value", "1MB", 'limits.value: "1MB": the units are B, KiB, MiB, GiB; write "1MiB"'),
        ("limits.session_buffer", "1KiB", "limits.session_buffer: must be at least 64KiB"),
        ("limits.keys", 0, "limits.keys: must be at least 1"),
        ("limits.keys", 65537, "limits.keys: must be at most 65536"),
        ("limits.pipeline", 0, "limits.pipeline: must be at least 1"),
        ("limits.connections", 0, "limits.connections: must be at least 1"),
        ("limits.login_connections", 0, "limits.login_connections: must be at least 1"),
        ("limits.connections_per_address", -1, "limits.connections_per_address: must be at least 0"),
        ("limits.login_timeout", "0s", "limits.login_timeout: must be more than 0s"),
        ("limits.stall_timeout", "0s", "limits.stall_timeout: must be more than 0s"),
        ("limits.idle_timeout", "-1s", 'limits.idle_timeout: "-1s" is not a duration'),
        ("limits.drain_timeout", "25h", "limits.drain_timeout: must be at most 24h"),
        ("workers", 0, "workers: must be at least 1"),
        ("workers", 257, "workers: must be at most 256"),
        ("workers", "many", 'workers: must be a whole number, or "auto" for one per usable core'),
        ("workers", True, 'workers: must be a whole number, or "auto" for one per usable core'),
        ("logging", {"level": "loud"}, 'logging.level: "loud" is not known; known are: debug, error, info, warning'),
        ("logging", {"format": "xml"}, 'logging.format: "xml" is not known; known are: console, json'),
        # roles, keys and names
        ("roles.app.commands", [], "roles.app.commands: must be a list of command classes"),
        ("roles.app.commands", "read", "roles.app.commands: must be a list of command classes"),
        ("roles.app.commands", ["get"], 'roles.app.commands: "get" is not known'),
        ("roles.app.commands", ["Read"], 'roles.app.commands: "Read" is not known; did you mean "read"?'),
        ("roles.app.keys", ["a*b"], 'roles.app.keys[0]: "a*b": "*" may only be the last character'),
        ("roles.app.keys", ["a**"], 'roles.app.keys[0]: "a**": "*" may only be the last character'),
        ("roles.app.keys", ["a b"], 'roles.app.keys[0]: "a b": memcached\'s keys hold no spaces'),
        ("roles.app.keys", ["a\tb"], "memcached's keys hold no spaces and no control characters"),
        ("roles.app.keys", ["a\x7f"], "memcached's keys hold no spaces and no control characters"),
        ("roles.app.keys", [""], "roles.app.keys[0]: must be a key or a prefix"),
        ("roles.app.keys", [5], "roles.app.keys[0]: must be a key or a prefix"),
        ("roles.app.keys", [TOO_LONG], "has 251 bytes; memcached's keys have at most 250"),
        ("roles.app.keys", ["é" * 126], "has 252 bytes; memcached's keys have at most 250"),
        ("roles.app.keys", [TOO_LONG + "*"], "has 251 bytes; memcached's keys have at most 250"),
        ("grants", [{"user": "a b", "roles": []}], "grants[0].user: a name cannot contain white space"),
        ("grants", [{"user": "a:b", "roles": []}], "grants[0].user: a name cannot contain ':'"),
        ("grants", [{"user": "x" * 129, "roles": []}], "grants[0].user: the name is longer than 128 bytes"),
        ("grants", [{"user": 5, "roles": []}], "grants[0].user: must be a name; put it in quotes"),
        ("grants", [{"certificate": "", "as": "a", "roles": []}], "grants[0].certificate: must not be empty"),
        ("grants", [{"certificate": "a*b*", "as": "a", "roles": []}], '"*" may stand once between two delimiters'),
        ("grants", [{"certificate": "c" * 2049, "as": "a", "roles": []}], "must have at most 2048 characters"),
        ("grants", [{"certificate": "CN=web", "as": "a", "roles": []}], "write URIs as {uri: ...} and subjects as"),
        ("grants", [{"certificate": {"uri": "web"}, "as": "a", "roles": []}], '"web" is not a URI'),
        ("grants", [{"certificate": {"ip": "10.0.0.1"}, "as": "a", "roles": []}], '"ip" is not known; known are: dns,'),
        ("grants", [{"certificate": {"subject": "web"}, "as": "a", "roles": []}], "not a subject as RFC 4514 spells"),
        ("grants", [{"certificate": {"dns": 5}, "as": "a", "roles": []}], "dns must be text; put it in quotes"),
        ("grants", [{"certificate": {}, "as": "a", "roles": []}], "exactly one of uri, dns, email, subject"),
        ("grants", [{"certificate": 5, "as": "a", "roles": []}], "certificate: must be text; put it in quotes"),
        ("grants", [{"address": "10.0.0.7/24", "as": "a", "roles": []}], 'write "10.0.0.0/24" for all of it'),
        ("grants", [{"peer": {"uid": -1}, "as": "a", "roles": []}], "grants[0].peer.uid: must be at least 0"),
        ("grants", [{"peer": {"uid": "app"}, "as": "a", "roles": []}], "peer.uid: must be a whole number"),
        (f"{LOCAL}.proxy_protocol", ["10.0.0.2/8"], 'proxy_protocol[0]: "10.0.0.2/8" is an address inside a network'),
        (f"{LOCAL}.proxy_protocol", "10.0.0.2", "proxy_protocol: must be a list"),
        (f"{LOCAL}.mechanisms", ["SCRAM-SHA256"], '"SCRAM-SHA256" is not known; did you mean "SCRAM-SHA-256"?'),
        (f"{LOCAL}.mechanisms", ["LOGIN"], '"LOGIN" is not known'),
        ("upstream.protocol", "txt", 'upstream.protocol: "txt" is not known; did you mean "text"?'),
        (
            "upstream.engine",
            "mcrouter",
            'upstream.engine: "mcrouter" is not known; known are: mcproxy, memcached, twemproxy',
        ),
        ("upstream.tls", {}, "upstream.tls.ca: is required, such as /etc/mcproxy/upstream/ca.crt"),
        ("upstream.tls", {"ca": "x", "server_name": "a b"}, 'server_name: "a b" is neither a host name nor an IP'),
        ("upstream.tls", {"ca": "x", "server_name": 5}, "server_name: must be the name that the certificate is for"),
        ("upstream.tls", {"ca": "x", "client_ca": "y"}, "upstream.tls.client_ca: unknown key; known are: ca, "),
        ("upstream.login", {}, "upstream.login.method: is required, such as sasl"),
        ("upstream.login", {"method": "scram"}, 'upstream.login.method: "scram" is not known'),
        ("upstream.login", {"method": "sasl", "mechanism": "LOGIN"}, 'mechanism: "LOGIN" is not known'),
        ("upstream.login", {"method": "sasl", "mechanism": "SCRAM-SHA256"}, 'did you mean "SCRAM-SHA-256"?'),
        (
            "upstream.login",
            {"method": "sasl", "mechanism": "PLAIN", "username": 5, "password_file": "x"},
            "upstream.login.username: must be a name; put it in quotes",
        ),
        (
            "upstream.login",
            {"method": "sasl", "mechanism": "PLAIN", "username": "a", "password": "x"},
            'upstream.login.password: unknown key; did you mean "password_file"?',
        ),
        (f"{LOCAL}.upstream", "a b", 'listeners.local.upstream: "a b" is not a usable name'),
    ],
)
def test_a_mistake_is_told_once_and_clearly(place, value, expected):
    found = problems_after((place, value))
    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize("key", ["*", "app:*", "k" * 250, "k" * 250 + "*", "é" * 125, "a%b/c", "noreply"])
def test_keys_and_prefixes(key):
    assert settings_of(changed(("roles.app.keys", [key]))).roles["app"].keys == [key]


def test_a_star_is_every_class():
    role = settings_of(changed(("roles.app", {"commands": ["*"], "keys": ["*"]}))).roles["app"]
    assert role.commands == frozenset(
        ["read", "touch", "write", "counter", "delete", "flush", "stats", "inspect", "admin"]
    )


def test_parsed_values():
    settings = settings_of(
        changed(
            ("limits", {"value": "8MiB", "idle_timeout": "5m", "connections": 100}),
            ("upstream.timeout", "250ms"),
            ("listeners.sidecar.mode", "0660"),
            ("listeners.sidecar.group", "1000"),
            ("listeners.private.tls.minimum_version", 1.3),
            ("listeners.local.allow", ["127.0.0.0/8", "::ffff:10.0.0.0/120"]),
        )
    )
    assert (settings.limits.value, settings.limits.idle_timeout, settings.limits.connections) == (8 * 2**20, 300, 100)
    assert settings.upstream.timeout == 0.25
    assert settings.upstream.address == TcpAddress("127.0.0.1", 11211)
    sidecar = settings.listeners["sidecar"]
    assert (sidecar.mode, sidecar.group, sidecar.bind) == (0o660, 1000, [UnixAddress("/run/mcproxy/memcached.sock")])
    assert settings.listeners["private"].tls.minimum_version == "1.3"
    assert settings.listeners["local"].allow == [
        ipaddress.ip_network("127.0.0.0/8"),
        ipaddress.ip_network("10.0.0.0/24"),
    ]


def test_defaults_are_the_documented_ones():
    settings = settings_of(changed())
    limits = settings.limits
    assert (limits.value, limits.keys, limits.pipeline) == (2**20, 1000, 1000)
    assert (limits.session_buffer, limits.total_buffer) == (2 * 2**20, 256 * 2**20)
    assert (limits.connections, limits.connections_per_address, limits.login_connections) == (4096, 0, 512)
    assert (limits.login_timeout, limits.stall_timeout, limits.idle_timeout, limits.drain_timeout) == (5, 30, 0, 10)
    assert settings.admin.bind == TcpAddress("127.0.0.1", 9156)
    assert settings.admin.health_bind is None
    assert settings.listeners["sidecar"].mode == 0o600


def test_relative_file_names_start_at_the_configuration_file():
    settings = settings_of(changed(("listeners.private.tls.key", "/elsewhere/tls.key")))
    tls = settings.listeners["private"].tls
    assert settings.users_file == Path("/etc/mcproxy/users")
    assert (tls.certificate, tls.key) == (Path("/etc/mcproxy/tls.crt"), Path("/elsewhere/tls.key"))


def test_settings_are_frozen():
    settings = settings_of(changed())
    with pytest.raises(ValidationError):
        settings.limits.value = 5


@pytest.mark.parametrize(
    "pasted", ["-----BEGIN PRIVATE KEY----- hunter2", "hunter2\nhunter2", "/etc/" + "hunter2" * 40, "hunter2\udbff"]
)
@pytest.mark.parametrize("place", ["users_file", "listeners.private.tls.key", "upstream.tls.ca"])
def test_what_a_file_holds_in_place_of_its_name_is_not_repeated(place: str, pasted: str) -> None:
    (problem,) = problems_after((place, pasted))
    assert "must be the name of a file" in problem
    assert "hunter2" not in problem


@pytest.mark.parametrize("key", ["password_file", "password_environment", "password"])
@pytest.mark.parametrize("pasted", ["hunter2\nhunter2", "/etc/" + "hunter2" * 40, "hunter2 hunter2\0"])
def test_a_password_in_place_of_where_it_is_to_be_found_is_not_repeated(key: str, pasted: str) -> None:
    (problem,) = problems_after(
        ("upstream.login", {"method": "sasl", "mechanism": "PLAIN", "username": "a", key: pasted})
    )
    assert problem.startswith(f"upstream.login.{key}: ")
    assert "hunter2" not in problem


@pytest.mark.parametrize(
    ("written", "means"),
    [
        ("subject=CN=web,O=Example", "CN=web,O=Example"),
        ("subject= cn=web,o=Example", "CN=web,O=Example"),
        ("emailAddress=a@b.example,CN=web", "1.2.840.113549.1.9.1=a@b.example,CN=web"),
        ("serialNumber=5,SN=Doe,GN=Jo,CN=web", "2.5.4.5=5,2.5.4.4=Doe,2.5.4.42=Jo,CN=web"),
        ("2.5.4.5=5,CN=web", "2.5.4.5=5,CN=web"),
    ],
)
def test_subjects_as_openssl_prints_them(written: str, means: str) -> None:
    """`openssl x509 -noout -subject -nameopt RFC2253`."""
    assert parse_certificate_name({"subject": written}).value == means
