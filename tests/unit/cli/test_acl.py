"""`mcproxy acl`: what it prints, and its exit status."""

from typing import Any

import pytest

from mcproxy.cli.acl.principals import can_log_in, parse_principal
from mcproxy.cli.main import main
from mcproxy.config.schema import Listener

from .running import mcproxy

GRANTS = [
    {"user": "sammy", "roles": ["app"]},
    {"user": "sammy", "roles": ["news"]},
    {"address": "10.0.0.7/32", "as": "legacy", "roles": ["news"]},
]
ROLES = {
    "app": {"commands": ["read", "write", "touch"], "keys": ["app:*"]},
    "news": {"commands": ["read"], "keys": ["news", "feed:*"]},
    "nothing": {"commands": ["delete"]},
}
ASKING = {"certificate": "tls.crt", "key": "tls.key", "client_ca": "ca.crt"}


@pytest.fixture
def acl(installation, capsys):
    installation.change(roles=ROLES, grants=GRANTS)

    def run(who: str, *lines: str, **options: Any) -> tuple[int, str, str]:
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        status = main(["acl", "--as", who, "--config", str(installation.config), *words, *lines])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.mark.parametrize(
    ("line", "status", "expected"),
    [
        ("get app:1", 0, "allowed: get app:1\n  read on app:1: role app, by grants[0] (line N)\n"),
        ("get app:1 news", 0, "allowed: get app:1 news\n  read on app:1: role app, by grants[0] (line N)\n"
         "  read on news: role news, by grants[1] (line N)\n"),
        ("get app:1 news other", 1, "denied: get app:1 news other\n"
         "  read on other is missing: role app has it on app:*; role news has it on news, feed:*\n"),
        ("gat 0 news", 1, "denied: gat 0 news\n  touch on news is missing: role app has it on app:*\n"),
        ("incr app:1 1", 1, "denied: incr app:1 1\n  counter on app:1 is missing: no counter in the roles app, news\n"),
        ("flush_all", 1, "denied: flush_all\n  flush is missing: no flush in the roles app, news\n"),
        ("version", 0, "allowed: version\n  needs no grant\n"),
        ("quit", 0, "allowed: quit\n  answered by the proxy itself\n"),
        ("get", 1, "refused: get\n  malformed; the client is told: ERROR\n"),
        ("set app:1 0 0", 1,
         "refused: set app:1 0 0\n  malformed; the client is told: ERROR; the connection is closed\n"),
        ("set app:1 0 0 5 noreply", 0, "allowed: set app:1 0 0 5 noreply\n"
         "  write on app:1: role app, by grants[0] (line N)\n  sent as: set app:1 0 0 5\n"),
        ("set app:1 0 0 5\r\nhello\r\n", 0,
         "allowed: set app:1 0 0 5\n  write on app:1: role app, by grants[0] (line N)\n"),
        ("set app:1 0 0 5\r\nhe\r\n", 1,
         "refused: set app:1 0 0 5\n  not whole: 3 bytes of its data block are missing\n"),
        ("mg YXBwOjE= b v", 0, "allowed: mg YXBwOjE= b v\n  read on app:1: role app, by grants[0] (line N)\n"),
        ("sasl auth PLAIN 0", 0, "allowed: sasl auth PLAIN 0\n  another login begins, which is not judged here\n"),
        ("get a\x1b[31m\u00fc", 1,
         "refused: get a\\x1b[31m\u00fc\n  bad key; the client is told: CLIENT_ERROR bad command line format\n"),
    ],
)  # fmt: skip
def test_verdicts(acl, installation, line, status, expected):
    code, out, err = acl("user:sammy", line)
    lines = installation.config.read_text().splitlines()
    grants = [number for number, text in enumerate(lines, 1) if text.startswith(("- user", "- address"))]
    for index, number in enumerate(grants):
        out = out.replace(f"grants[{index}] (line {number})", f"grants[{index}] (line N)")
    assert (code, out, err) == (status, expected, "")


def test_several_lines_and_one_that_is_denied(acl):
    status, out, _ = acl("user:sammy", "get app:1", "delete app:1", "get news")
    assert status == 1
    assert [line for line in out.splitlines() if not line.startswith(" ")] == [
        "allowed: get app:1",
        "denied: delete app:1",
        "allowed: get news",
    ]


def test_default_roles_are_for_users(acl, installation):
    installation.change(default_roles=["news"], grants=GRANTS[2:])
    status, out, _ = acl("user:sammy", "get news")
    assert (status, "role news, by default_roles (line" in out) == (0, True)


def test_no_role_and_a_role_without_keys(acl, installation):
    installation.change(grants=[{"user": "reader", "roles": ["nothing"]}])
    assert acl("user:sammy", "get news")[:2] == (
        1,
        "denied: get news\n  read on news is missing: user:sammy has no role\n",
    )
    assert "role nothing has it on no key" in acl("user:reader", "delete news")[1]


def test_a_command_without_a_key_needs_all_keys(acl, installation):
    roles = {"some": {"commands": ["inspect"], "keys": ["*"]}}
    installation.change(roles=roles, grants=[{"user": "sammy", "roles": ["some"]}])
    assert acl("user:sammy", "stats items")[0] == 0
    assert acl("user:sammy", "stats")[0] == 1


def test_listeners_that_differ(acl, installation):
    installation.settings["listeners"]["socket"]["overlong_keys"] = "digest"
    installation.write()
    line = f"get app:{'x' * 300}"
    status, out, _ = acl("user:sammy", line)
    assert status == 1
    assert [text.partition(":")[0] for text in out.splitlines() if not text.startswith(" ")] == [
        "refused on plain",
        "refused on tls",
        "allowed on socket",
    ]
    assert acl("user:sammy", line, listener="socket")[0] == 0


def test_somebody_who_can_not_log_in_there(acl, installation):
    expected = (1, "refused: address:legacy can't log in on any listener; mcproxy check tells who can\n", "")
    assert acl("address:legacy", "get news") == expected
    plain = installation.settings["listeners"]["plain"]
    plain |= {"authentication": ["address"], "allow": ["10.0.0.0/24"], "plaintext": True}
    del plain["mechanisms"]
    installation.write()
    assert acl("address:legacy", "get news")[::2] == (0, "")
    assert "can't log in on listener tls" in acl("address:legacy", "get news", listener="tls")[1]
    assert "can't log in on listener plain" in acl("user:sammy", "get news", listener="plain")[1]


def test_a_listener_that_takes_only_binary(acl, installation):
    for listener in installation.settings["listeners"].values():
        listener |= {"protocols": ["binary"], "authentication": ["sasl"]}
    installation.write()
    status, out, _ = acl("user:sammy", "get news", listener="tls")
    assert (status, out.splitlines()[-1]) == (
        0,
        "note: listener tls takes only the binary protocol; the same grants hold there",
    )


@pytest.mark.parametrize(
    ("who", "lines", "options", "message"),
    [
        (
            "sammy",
            ["get x"],
            {},
            "--as 'sammy' must be address:NAME, certificate:NAME, peer:NAME, user:NAME or anonymous",
        ),
        ("user:", ["get x"], {}, "--as 'user:' needs a name: user:NAME"),
        ("user:samy", ["get x"], {}, "users has no user 'samy'; did you mean \"sammy\"?"),
        ("address:lagacy", ["get x"], {}, "no grant names 'address:lagacy'; did you mean \"legacy\"?"),
        ("peer:web", ["get x"], {}, "no grant names 'peer:web'; there are none"),
        ("user:sammy", ["get x"], {"listener": "tsl"}, "no listener is called 'tsl'; did you mean \"tls\"?"),
        ("user:sammy", [""], {}, "'' is no command line"),
    ],
)
def test_wrong_usage(acl, who, lines, options, message):
    status, out, err = acl(who, *lines, **options)
    assert (status, out) == (2, "")
    assert err.startswith("mcproxy: acl: ")
    assert err.endswith(f"{message}\n")


def test_a_wrong_configuration(acl, installation):
    installation.change(default_roles=["none"])
    status, out, err = acl("user:sammy", "get x")
    assert (status, out) == (2, "")
    assert "default_roles" in err


def test_bytes_that_are_no_text(installation):
    done = mcproxy(
        "acl", "--as", "user:root", "--config", installation.config, b"get app:\xff".decode(errors="surrogateescape")
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("allowed: get app:\\xff\n")


@pytest.mark.parametrize(
    ("who", "listener", "expected"),
    [
        ("user:sammy", {"authentication": ["token"]}, True),
        ("user:sammy", {"authentication": ["sasl"]}, True),
        ("user:sammy", {"authentication": ["sasl"], "mechanisms": ["EXTERNAL"]}, False),
        ("user:sammy", {"authentication": ["certificate", "address"]}, False),
        ("certificate:web", {"authentication": ["certificate"], "tls": ASKING}, True),
        ("certificate:web", {"authentication": ["sasl"], "mechanisms": ["EXTERNAL"], "tls": ASKING}, True),
        ("certificate:web", {"authentication": ["sasl"], "tls": ASKING}, False),
        ("certificate:web", {"authentication": ["certificate"]}, False),
        ("certificate:web", {"authentication": ["certificate"], "tls": {**ASKING, "client_ca": None}}, False),
        ("address:near", {"authentication": ["address"]}, True),
        ("peer:me", {"authentication": ["address"]}, False),
        ("anonymous", {"authentication": ["none"]}, True),
        ("anonymous", {"authentication": ["sasl", "token", "certificate", "address"]}, False),
    ],
)
def test_who_can_log_in_where(who, listener, expected):
    made = Listener.model_validate({"bind": ["127.0.0.1:0"], **listener})
    assert can_log_in(parse_principal(who), made) is expected
