"""Every rule: what it refuses, what it says, and the nearest thing that it lets pass."""

import pytest

from .building import DELETE, changed, problems_after, settings_of

LOCAL, PRIVATE, SIDECAR = "listeners.local", "listeners.private", "listeners.sidecar"

OPEN = [(f"{PRIVATE}.tls", DELETE), (f"{PRIVATE}.plaintext", True)]
"""The network listener without TLS."""

REFUSED = {
    "plain off loopback": (
        [(f"{PRIVATE}.tls", DELETE), (f"{PRIVATE}.plaintext_passwords", True)],
        ["listeners.private.bind[0]: 10.0.0.5:11212 is not loopback and has no TLS"],
    ),
    "plain on all addresses": (
        [(f"{LOCAL}.bind", ["127.0.0.1:1", "0.0.0.0:2", "[::]:3"]), (f"{LOCAL}.plaintext_passwords", True)],
        ["listeners.local.bind[1]: 0.0.0.0:2 is not", "listeners.local.bind[2]: [::]:3 is not"],
    ),
    "passwords in clear text": (
        [*OPEN, (f"{PRIVATE}.mechanisms", ["SCRAM-SHA-256", "PLAIN"])],
        ["listeners.private.mechanisms: PLAIN would send passwords"],
    ),
    "tokens in clear text": (
        [*OPEN, (f"{PRIVATE}.authentication", ["address", "token"])],
        ["listeners.private.authentication: token would send passwords"],
    ),
    "nobody said who may connect": (
        [(f"{LOCAL}.allow", DELETE)],
        ["listeners.local.allow: is required with TCP"],
    ),
    "allow on a unix socket": (
        [(f"{SIDECAR}.allow", ["127.0.0.1"])],
        ["listeners.sidecar.allow: a unix socket has no source addresses"],
    ),
    "balancers before a unix socket": (
        [(f"{SIDECAR}.proxy_protocol", ["127.0.0.1"])],
        ["listeners.sidecar.proxy_protocol: is for TCP"],
    ),
    "unix and TCP mixed": (
        [(f"{LOCAL}.bind", ["127.0.0.1:1", "unix:/x"])],
        ["listeners.local.bind: mixes unix sockets and TCP addresses"],
    ),
    "mode and group on TCP": (
        [(f"{LOCAL}.mode", "0660"), (f"{LOCAL}.group", "app")],
        ["listeners.local.mode: is for unix sockets", "listeners.local.group: is for unix sockets"],
    ),
    "none beside others": (
        [(f"{LOCAL}.authentication", ["none", "sasl"])],
        ["listeners.local.authentication: none lets everybody in"],
    ),
    "none off loopback": (
        [(f"{PRIVATE}.authentication", ["none"])],
        ["listeners.private.authentication: none is for loopback"],
    ),
    "none where one address is off loopback": (
        [(f"{PRIVATE}.authentication", ["none"]), (f"{PRIVATE}.bind", ["127.0.0.1:1", "10.0.0.5:2"])],
        ["listeners.private.authentication: none is for loopback"],
    ),
    "peer over TCP": ([(f"{LOCAL}.authentication", ["peer"])], ["listeners.local.authentication: peer needs a unix"]),
    "address on a unix socket": (
        [(f"{SIDECAR}.authentication", ["address"])],
        ["listeners.sidecar.authentication: address needs TCP"],
    ),
    "certificate without TLS": (
        [(f"{LOCAL}.authentication", ["certificate"])],
        ["listeners.local.authentication: certificate needs tls.client_ca"],
    ),
    "certificate without an authority": (
        [(f"{PRIVATE}.authentication", ["certificate"])],
        ["listeners.private.authentication: certificate needs tls.client_ca"],
    ),
    "a revocation list without an authority": (
        [(f"{PRIVATE}.tls.crl", "ca.crl")],
        ["listeners.private.tls.crl: needs client_ca"],
    ),
    "client_certificate without an authority": (
        [(f"{PRIVATE}.tls.client_certificate", "required")],
        ["listeners.private.tls.client_certificate: needs client_ca"],
    ),
    "channel binding without TLS": (
        [(f"{LOCAL}.mechanisms", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "PLAIN"])],
        ["listeners.local.mechanisms: SCRAM-SHA-256-PLUS and SCRAM-SHA-1-PLUS need tls"],
    ),
    "EXTERNAL without TLS": (
        [(f"{LOCAL}.mechanisms", ["EXTERNAL", "PLAIN"])],
        ["listeners.local.mechanisms: EXTERNAL needs tls.client_ca"],
    ),
    "EXTERNAL without an authority": (
        [(f"{PRIVATE}.mechanisms", ["EXTERNAL", "PLAIN"])],
        ["listeners.private.mechanisms: EXTERNAL needs tls.client_ca"],
    ),
    "token without text": (
        [(f"{LOCAL}.protocols", ["binary"])],
        ["listeners.local.authentication: token needs the text protocol"],
    ),
    "mechanisms without sasl": (
        [(f"{LOCAL}.authentication", ["token"]), (f"{LOCAL}.mechanisms", ["PLAIN"])],
        ["listeners.local.mechanisms: are SASL's"],
    ),
    "passwords without a users file": (
        [("users_file", DELETE)],
        ["listeners.local.authentication: sasl needs users", "listeners.private.authentication: sasl needs users"],
    ),
    "upstream off loopback": ([("upstream.address", "10.0.0.9:11211")], ["upstream.address: 10.0.0.9:11211 is not"]),
    "upstream by name": ([("upstream.address", "memcached:11211")], ["upstream.address: memcached:11211 is not"]),
    "flush on some keys": (
        [("roles.app.commands", ["read", "flush"])],
        ['roles.app.commands: flush works on all keys at once, so the role\'s keys must be ["*"]'],
    ),
    "everything on some keys": (
        [("roles.app.commands", ["*"])],
        ["roles.app.commands: admin, flush, inspect, stats work on all keys at once"],
    ),
    "stats on all keys and more": (
        [("roles.app", {"commands": ["stats"], "keys": ["*", "app:*"]})],
        ["roles.app.commands: stats works on all keys"],
    ),
    "stats without keys": ([("roles.app", {"commands": ["stats"]})], ["roles.app.commands: stats works on all keys"]),
    "a grant for nobody": ([("grants", [{"as": "web", "roles": []}])], ["grants[0]: names nobody"]),
    "a grant for two": (
        [("grants", [{"user": "a", "certificate": "b", "as": "web", "roles": []}])],
        ["grants[0]: has user and certificate; a grant is for exactly one"],
    ),
    "a user called otherwise": ([("grants", [{"user": "a", "as": "b", "roles": []}])], ["grants[0].as: a user keeps"]),
    "a certificate without a name": (
        [("grants", [{"certificate": "a", "roles": []}])],
        ['grants[0]: needs "as", the name that this certificate goes by'],
    ),
    "a peer that is nobody": (
        [("grants", [{"peer": {}, "as": "a", "roles": []}])],
        ["grants[0].peer: names nobody; give it a uid"],
    ),
    "one certificate with two names, spelled in two ways": (
        [
            (
                "grants",
                [
                    {"certificate": "A.example", "as": "a", "roles": []},
                    {"certificate": {"dns": "a.EXAMPLE"}, "as": "b", "roles": []},
                ],
            )
        ],
        ['grants[1].as: an earlier grant calls the same certificate "a"'],
    ),
    "one name for two with different roles": (
        [
            (
                "grants",
                [
                    {"certificate": "spiffe://prod/*", "as": "web", "roles": []},
                    {"certificate": "spiffe://prod/boss", "as": "web", "roles": ["app"]},
                ],
            )
        ],
        ['grants[0].as: "web" is the name of several certificates with different roles'],
    ),
    "one certificate with two names": (
        [("grants", [{"certificate": "c", "as": "a", "roles": []}, {"certificate": "c", "as": "b", "roles": []}])],
        ['grants[1].as: an earlier grant calls the same certificate "a"'],
    ),
    "one network with two names, once as IPv6": (
        [
            (
                "grants",
                [
                    {"address": "10.0.0.7", "as": "a", "roles": []},
                    {"address": "::ffff:10.0.0.7", "as": "b", "roles": []},
                ],
            )
        ],
        ['grants[1].as: an earlier grant calls the same address "a"'],
    ),
    "a grant of no role": (
        [("grants", [{"user": "a", "roles": ["ap"]}])],
        ['grants[0].roles[0]: there is no role "ap"; did you mean "app"?'],
    ),
    "a default that is no role": (
        [("default_roles", ["app", "nothing-like-it"])],
        ['default_roles[1]: there is no role "nothing-like-it"; known are: app'],
    ),
    "no room for two values": (
        [("limits", {"value": "128MiB", "total_buffer": "255MiB"})],
        ["limits.total_buffer: must hold at least two values of the largest size; with value: 128MiB write 256MiB"],
    ),
    "no room for two values of each worker": (
        [("limits", {"value": "32MiB"}), ("workers", 5)],
        ["limits.total_buffer: must hold at least two values of the largest size for each of 5 workers; "],
    ),
    "an address twice": (
        [(f"{PRIVATE}.bind", ["10.0.0.5:1", "127.0.0.1:11212"])],
        ["listeners.private.bind[1]: 127.0.0.1:11212 is already used by listeners.local.bind"],
    ),
    "an address twice, once as IPv6": (
        [(f"{LOCAL}.bind", ["127.0.0.1:1"]), ("admin", {"bind": "[::ffff:127.0.0.1]:1"})],
        ["admin.bind: 127.0.0.1:1 is already used by listeners.local.bind"],
    ),
    "every address beside every IPv4 address": (
        [(f"{PRIVATE}.bind", ["0.0.0.0:1", "[::]:1"])],
        ["listeners.private.bind[1]: [::]:1 overlaps with 0.0.0.0:1 of listeners.private.bind: [::] is every address"],
    ),
    "every IPv4 address beside one, across listeners": (
        [(f"{PRIVATE}.bind", ["0.0.0.0:11212"])],
        ["listeners.private.bind[0]: 0.0.0.0:11212 overlaps with 127.0.0.1:11212 of listeners.local.bind: 0.0.0.0 is"],
    ),
    "every address beside an IPv4 address": (
        [(f"{PRIVATE}.bind", ["[::]:1", "10.0.0.5:1"])],
        ["listeners.private.bind[1]: 10.0.0.5:1 overlaps with [::]:1 of listeners.private.bind: [::] is every address"],
    ),
    "every address beside an IPv6 address": (
        [(f"{PRIVATE}.bind", ["[fd00::5]:1", "[::]:1"])],
        ["listeners.private.bind[1]: [::]:1 overlaps with [fd00::5]:1"],
    ),
    "every address includes the memcached of this machine": (
        [(f"{PRIVATE}.bind", ["[::]:11211"])],
        ["listeners.private.bind[0]: [::]:11211 overlaps with 127.0.0.1:11211 of upstream.address"],
    ),
    "health for the network on the admin port": (
        [("admin", {"bind": "127.0.0.1:1", "health_bind": "0.0.0.0:1"})],
        ["admin.health_bind: 0.0.0.0:1 overlaps with 127.0.0.1:1 of admin.bind"],
    ),
    "upstream is the proxy": (
        [("upstream.address", "127.0.0.1:11212")],
        ["listeners.local.bind[0]: 127.0.0.1:11212 is already used by upstream.address"],
    ),
}

ACCEPTED = {
    "as it is": [],
    "plain off loopback, in words": [*OPEN, (f"{PRIVATE}.plaintext_passwords", True)],
    "SCRAM off loopback in clear text": [*OPEN, (f"{PRIVATE}.mechanisms", ["SCRAM-SHA-256", "SCRAM-SHA-1"])],
    "PLAIN by default, which is not offered there": OPEN,
    "PLAIN where it is allowed in words": [
        *OPEN,
        (f"{PRIVATE}.plaintext_passwords", True),
        (f"{PRIVATE}.mechanisms", ["PLAIN"]),
    ],
    "channel binding with TLS": [(f"{PRIVATE}.mechanisms", ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"])],
    "EXTERNAL alone needs no users": [
        ("users_file", DELETE),
        (f"{LOCAL}.authentication", ["address"]),
        (f"{PRIVATE}.tls.client_ca", "ca.crt"),
        (f"{PRIVATE}.mechanisms", ["EXTERNAL"]),
    ],
    "sasl over the text protocol": [(f"{LOCAL}.protocols", ["text"]), (f"{LOCAL}.authentication", ["sasl"])],
    "plain off loopback without passwords": [*OPEN, (f"{PRIVATE}.authentication", ["address"])],
    "an empty list admits nobody": [(f"{LOCAL}.allow", [])],
    "none on loopback": [(f"{LOCAL}.authentication", ["none"]), (f"{LOCAL}.bind", ["127.0.0.1:1", "[::1]:1"])],
    "none on a unix socket": [(f"{SIDECAR}.authentication", ["none"])],
    "passwords on a unix socket": [(f"{SIDECAR}.authentication", ["peer", "sasl", "token"])],
    "a certificate and its authority": [
        (f"{PRIVATE}.tls.client_ca", "ca.crt"),
        (f"{PRIVATE}.tls.client_certificate", "optional"),
        (f"{PRIVATE}.authentication", ["certificate", "sasl"]),
    ],
    "mode and group on a unix socket": [(f"{SIDECAR}.mode", "0660"), (f"{SIDECAR}.group", "app")],
    "no users file where nobody needs one": [
        ("users_file", DELETE),
        (f"{LOCAL}.authentication", ["none"]),
        (f"{PRIVATE}", DELETE),
    ],
    "upstream off loopback, in words": [("upstream", {"address": "memcached:11211", "plaintext": True})],
    "upstream by a unix socket": [("upstream.address", "unix:/run/memcached.sock")],
    "everything on all keys": [("roles.app", {"commands": ["*"], "keys": ["*"]})],
    "a role without keys": [("roles.app", {"commands": ["read"]})],
    "two certificates with one name": [
        ("grants", [{"certificate": "c", "as": "a", "roles": []}, {"certificate": "d", "as": "a", "roles": []}])
    ],
    "one certificate granted twice": [
        ("grants", [{"certificate": "c", "as": "a", "roles": []}, {"certificate": "c", "as": "a", "roles": ["app"]}])
    ],
    "every IPv4 address beside an IPv6 address": [(f"{PRIVATE}.bind", ["0.0.0.0:1", "[fd00::5]:1"])],
    "the same address with other ports": [(f"{PRIVATE}.bind", ["0.0.0.0:1", "[::]:2", "127.0.0.1:3"])],
    "every address and ports of the kernel's choice": [(f"{PRIVATE}.bind", ["0.0.0.0:0", "[::]:0"])],
    "every address and a memcached elsewhere on the same port": [
        (f"{PRIVATE}.bind", ["[::]:11211"]),
        ("upstream", {"address": "10.0.0.9:11211", "plaintext": True}),
    ],
    "ports of the kernel's choice": [
        (f"{LOCAL}.bind", ["127.0.0.1:0"]),
        (f"{PRIVATE}.bind", ["10.0.0.5:0"]),
        ("admin", {"bind": "127.0.0.1:0", "health_bind": "127.0.0.1:0"}),
    ],
    "health for the network": [("admin", {"bind": "unix:/run/admin.sock", "health_bind": "0.0.0.0:9157"})],
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    changes, expected = REFUSED[case]
    found = problems_after(*changes)
    assert [problem[: len(start)] for problem, start in zip(found, expected, strict=False)] == expected
    assert len(found) == len(expected), found


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(case):
    assert problems_after(*ACCEPTED[case]) == []


@pytest.mark.parametrize("keyless", ["flush", "stats", "inspect", "admin"])
def test_commands_without_a_key_need_all_keys(keyless):
    found = problems_after(("roles.app.commands", [keyless]))
    assert found == [
        f'roles.app.commands: {keyless} works on all keys at once, so the role\'s keys must be ["*"]; '
        "put them into a role of their own"
    ]
    assert problems_after(("roles.app", {"commands": [keyless], "keys": ["*"]})) == []


def test_principals_of_grants():
    grants = [
        {"user": "sammy", "roles": []},
        {"certificate": "spiffe://prod/web", "as": "sammy", "roles": []},
        {"address": "10.0.0.7", "as": "legacy", "roles": []},
        {"peer": {"uid": 0}, "as": "root", "roles": []},
    ]
    settings = settings_of(changed(("grants", grants)))
    assert [str(grant.principal) for grant in settings.grants] == [
        "user:sammy",
        "certificate:sammy",
        "address:legacy",
        "peer:root",
    ]
