"""The whole way from a file to settings or problems: order, lines, and that no mistake hides another."""

import contextlib
from pathlib import Path

import pytest

from mcproxy.config.load import load, loads, users_file_of
from mcproxy.config.problems import ConfigurationError, Problem, printable

from .building import DELETE, RIGHT, changed, problems_in

SEVERAL = """\
listeners:
  a:
    bnd: ["127.0.0.1:1"]
    bind: ["127.0.0.1"]
    allow: ["10.0.0.5/24"]
    authentication: [sasl]
  b:
    bind: ["0.0.0.0:11212"]
    allow: []
    authentication: [none]
  c:
    bind: ["127.0.0.1:2"]
    allow: []
    tls:
    authentication: [none]
upstream: {address: "127.0.0.1:11211", links: 0}
roles:
  bad: {commands: [reed]}
  app: {commands: [flush], keys: ["app:*"]}
grants:
  - {user: sammy, roles: [bad, app, none]}
  - {usr: sammy, roles: [nobody]}
  - {user: olga, roles: [nobody]}
limits: {value: 5MB, value: 5MB}
workers: 0
"""


def test_all_mistakes_at_once_in_the_order_of_the_file():
    with pytest.raises(ConfigurationError) as caught:
        loads(SEVERAL, Path("m.yaml"), check_machine=False)
    assert [(problem.line, problem.key) for problem in caught.value.problems] == [
        (3, "listeners.a.bnd"),
        (4, "listeners.a.bind[0]"),
        (5, "listeners.a.allow[0]"),
        (6, "listeners.a.authentication"),
        (8, "listeners.b.bind[0]"),
        (10, "listeners.b.authentication"),
        (14, "listeners.c.tls"),
        (16, "upstream.links"),
        (18, "roles.bad.commands"),
        (19, "roles.app.commands"),
        (21, "grants[0].roles[2]"),
        (22, "grants[1].usr"),
        (22, "grants[1].roles[0]"),
        (23, "grants[2].roles[0]"),
        (24, "limits.value"),
        (25, "workers"),
    ]
    lines = str(caught.value).split("\n")
    assert lines[0] == 'm.yaml:3: listeners.a.bnd: unknown key; did you mean "bind"?'
    assert len(lines) == len(caught.value.problems)


def test_an_emptied_tls_section_is_not_plain_text():
    data = changed(("listeners.local.tls", None))
    assert problems_in(data) == ["listeners.local.tls: has no value; give it one or take the key out"]


def test_a_wrong_section_raises_no_doubts_about_those_that_refer_to_it():
    assert problems_in(changed(("roles", []))) == ['roles: must be a section, that is lines of "key: value" under it']
    assert problems_in(changed(("users_file", 5))) == ['users_file: must be a file name, such as "/etc/mcproxy/users"']


@pytest.mark.parametrize("section", list(RIGHT))
@pytest.mark.parametrize("value", [5, "x", [], {}, [5], {"x": 5}, {"x": {"y": 5}}, None, True, [[]], [{}], 1e400])
def test_any_value_anywhere_ends_in_settings_or_problems(section, value):
    with contextlib.suppress(ConfigurationError):
        for place in (section, f"{section}.x", f"{section}.x.y"):
            if not (place != section and isinstance(RIGHT[section], str | list)):
                problems_in(changed((place, value)))


def test_top_level_duplicates_do_not_hide_the_rest():
    text = 'upstream: {address: "127.0.0.1:1"}\nlisteners: {a: 5}\nlisteners: {a: {bind: []}}\nworkers: 0\n'
    found = problems_in(text)
    assert "listeners: given twice, first on line 2; keep one of them" in found
    assert "workers: must be at least 1" in found


def test_a_file_that_is_not_there():
    with pytest.raises(ConfigurationError) as caught:
        load(Path("/nowhere/mcproxy.yaml"))
    assert str(caught.value) == (
        "/nowhere/mcproxy.yaml: can't be read: No such file or directory; name another with --config or MCPROXY_CONFIG"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: \xff\n", ":1: is not UTF-8 text"),
        (b"a: 1\nb: \xc3\n", ":2: is not UTF-8 text"),
        (b"a: [\n", ":2: not valid YAML"),
        (b"a" * (8 * 2**20 + 1), ": is too large for a configuration file"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path, content, message):
    path = tmp_path / "m.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}{message}")
    assert "\n" not in str(caught.value)


def test_a_directory_is_no_configuration(tmp_path):
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: can't be read: Is a directory")


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_bytes(b"\xef\xbb\xbfwrokers: 1\n")
    with pytest.raises(ConfigurationError) as caught:
        load(path)
    assert f'{path}:1: wrokers: unknown key; did you mean "workers"?' in str(caught.value).split("\n")


def test_a_problem_is_one_line_whatever_the_file_says():
    text = 'upstream: {address: "127.0.0.1:1"}\n"evil\\nkey\\e[31m": 1\n'
    with pytest.raises(ConfigurationError) as caught:
        loads(text, Path("m.yaml"))
    for problem in caught.value.problems:
        assert str(problem).isprintable()
    assert "evil\\nkey\\x1b[31m" in str(caught.value)


def test_printable_leaves_letters_alone():
    assert printable("naïve Größe\t\x1b\u2028") == "naïve Größe\\t\\x1b\\u2028"


def test_the_users_file_of_a_configuration_that_is_otherwise_wrong(tmp_path):
    path = tmp_path / "m.yaml"
    path.write_text("users_file: users\nlisteners: 5\n")
    assert users_file_of(path) == tmp_path / "users"
    path.write_text("users_file: /elsewhere/users\n")
    assert users_file_of(path) == Path("/elsewhere/users")


@pytest.mark.parametrize(("text", "message"), [("a: 1\n", "use --users-file"), ("users_file: 5\n", "a file name")])
def test_a_configuration_without_a_users_file(tmp_path, text, message):
    path = tmp_path / "m.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        users_file_of(path)
    assert message in str(caught.value)


def test_problems_without_key_or_line():
    assert str(Problem(Path("f"), None, "", "m")) == "f: m"
    assert str(Problem(Path("f"), 3, "", "m")) == "f:3: m"
    assert str(Problem(Path("f"), None, "k", "m")) == "f: k: m"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            [("listeners.local.prtocols", 1), ("listeners.local.allow", DELETE)],
            ["listeners.local.prtocols: unknown key", "listeners.local.allow: is required with TCP"],
        ),
        (
            [("limits", {"session_buffer": 1, "value": "8MiB", "total_buffer": "1MiB"})],
            ["limits.session_buffer: must be at least", "limits.total_buffer: must hold at least two values"],
        ),
        (
            [("roles.app", {"commands": ["flush"], "keys": ["app:*"], "x": 1})],
            ["roles.app.commands: flush works on all keys", "roles.app.x: unknown key"],
        ),
        (
            [("grants", [{"user": "a b", "roles": ["nobody"]}])],
            ["grants[0].user: a name cannot", 'grants[0].roles[0]: there is no role "nobody"'],
        ),
        (
            [("upstream", {"address": "memcached:11211", "links": 0})],
            ["upstream.address: memcached:11211 is not loopback", "upstream.links: must be at least 1"],
        ),
        (
            [("upstream", {"address": "cache:11211", "tls": {"ca": 5}, "login": {"method": "sasl", "username": ""}})],
            [
                "upstream.tls.ca: must be a file name",
                "upstream.login.username: must not be empty",
                "upstream.login.mechanism: is required with method: sasl",
            ],
        ),
        (
            [("upstream", {"address": "cache:11211", "tls": {"cs": "x", "key": "y"}})],
            ["upstream.tls.ca: is required", "upstream.tls.cs: unknown key", "upstream.tls.key: needs certificate"],
        ),
        (
            [
                ("upstream", DELETE),
                (
                    "upstreams",
                    {"a": {"address": "cache:1", "links": 0}, "b": {"adress": "unix:/b"}, "c d": {"links": 1}},
                ),
                ("listeners.local.upstream", "b"),
                ("listeners.private.upstream", "x"),
                ("listeners.sidecar.upstream", "a"),
            ],
            [
                "upstreams.a.links: must be at least 1",
                "upstreams.a.address: cache:1 is not loopback",
                "upstreams.b.adress: unknown key",
                "upstreams.b.address: is required",
                'upstreams.c d: "c d" is not a usable name',
                "upstreams.c d.address: is required",
                'listeners.private.upstream: there is no upstream "x"',
            ],
        ),
        (
            [("upstream", DELETE), ("upstreams", {"my cache": {"address": "127.0.0.1:1"}})],
            ['upstreams.my cache: "my cache" is not a usable name'],
        ),
        # What rests on a wrong key, or on one that was perhaps meant, is not judged.
        ([("limits", {"value": "9GiB", "total_buffer": "1MiB"})], ["limits.value: must be at most 1GiB"]),
        ([("grants", [{"usr": "sammy", "roles": ["app"]}])], ["grants[0].usr: unknown key"]),
        ([("upstream", {"address": "cache:11211", "tls": 5})], ["upstream.tls: must be a section"]),
        (
            [
                (
                    "upstream",
                    {"address": "cache:11211", "tls": {"ca": "x"}, "login": {"method": "tken", "username": "a"}},
                )
            ],
            ['upstream.login.method: "tken" is not known'],
        ),
        ([("upstream", DELETE), ("upstreams", 5)], ["upstreams: must be a section"]),
        ([("upstream", DELETE), ("upstrems", {})], ["upstrems: unknown key"]),
        (
            [("listeners.private.tls", DELETE), ("listeners.private.tsl", {"key": "x"})],
            ["listeners.private.tsl: unknown key"],
        ),
    ],
)
def test_a_wrong_key_hides_nothing_beside_it_and_raises_no_false_alarm(changes, expected):
    found = problems_in(changed(*changes))
    assert len(found) == len(expected), found
    for start in expected:
        assert any(problem.startswith(start) for problem in found), found


def test_a_number_without_end_is_cut():
    for value in ("9" * 5000, "9" * 4000):
        text = f'upstream: {{address: "127.0.0.1:1", timeout: {value}}}\n'
        with pytest.raises(ConfigurationError) as caught:
            loads(text, Path("m.yaml"))
        assert all(len(str(problem)) < 300 for problem in caught.value.problems)
        assert f"99999... ({len(value)} characters)" in str(caught.value)


@pytest.mark.parametrize(
    "value", ["[::1]:31212", "[[::1]:31212]", "[[fd00::5]:1]", '["127.0.0.1:1", [::1]:1]', "[fd00::5]:1"]
)
def test_an_ipv6_address_without_quotes(value):
    assert 'goes in quotes: "[' in problems_of(f"listeners: {{}}\na: {value}\nb: 1\n")


def problems_of(text: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        loads(text, Path("m.yaml"), check_machine=False)
    return str(caught.value)


def test_a_quoted_ipv6_address_gets_no_hint_about_quotes():
    assert "quotes" not in problems_of('bind: ["[::1]:31212", {]\n')
