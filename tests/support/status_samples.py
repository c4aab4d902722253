"""What /status.json may hold: a quiet proxy, a busy one, and one whose names and reasons want to do harm."""

import math
from typing import Any

NOW = 1_770_000_000.0
DAY = 86400.0

MARKUP = "<img src=x onerror=\"document.title='harmed'\">"
HOSTILE = (
    MARKUP,
    "</script><script>document.title='harmed'</script>",
    "</style><style>body{display:none}</style>",
    "\u202egnp.exe\u2066\u200b invoice",
    "\x1b[2J\x1b]0;harmed\x07\x9b31m",
    "long-" * 2048,
    "Z" + "\u0301\u0316" * 500,
    "javascript:document.title='harmed'",
    "\ud800 half",
    "",
)
"""Names and reasons: markup, what turns the direction of text, what terminals obey, 10 KB without a space."""


def status(**changes: Any) -> dict[str, Any]:
    """One listener, one upstream, nobody there yet. `changes` replace whole keys."""
    quiet: dict[str, Any] = {
        "version": "0.1.0",
        "now": NOW,
        "started": NOW - 65,
        "ready": None,
        "draining": False,
        "generation": 1,
        "last_reload": None,
        "files": [{"key": "configuration", "fingerprint": "5e" * 32}],
        "workers": {"configured": 1, "alive": 1, "silent": 0, "restarts": 0},
        "listeners": [listener()],
        "upstreams": [upstream()],
        "admin": {"addresses": ["127.0.0.1:9156"], "access": "everybody who reaches it", "certificates": []},
        "principals": [],
        "principals_left_out": 0,
        "refusals": [],
        "rates": {"interval": 2.0, "end": NOW, "series": {name: [] for name in SERIES}},
        "saturation": {
            "connections": 0,
            "connections_limit": 4096,
            "buffered_bytes": 0,
            "buffered_bytes_limit": 268435456,
            "descriptors": 24,
            "descriptors_limit": 1048576,
            "busy": 0.002,
        },
    }
    return quiet | changes


SERIES = ("requests", "hits", "misses", "refused", "logins", "failed_logins", "received_bytes", "sent_bytes")


def listener(name: str = "private", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "addresses": ["10.0.0.5:11212"],
        "encryption": "TLS 1.2 or newer",
        "authentication": ["sasl", "token"],
        "allow": ["10.0.0.0/24"],
        "upstream": "cache",
        "sessions": 0,
        "connections": 0,
        "refused": 0,
        "certificates": [{"key": "certificate", "expires": NOW + 89.4 * DAY}],
    } | changes


def upstream(name: str = "cache", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "address": "unix:/run/memcached/memcached.sock",
        "engine": "memcached",
        "login": None,
        "tls": False,
        "failures": 0,
        "pools": [pool("text"), pool("binary")],
        "certificates": [],
    } | changes


def pool(protocol: str = "text", **changes: Any) -> dict[str, Any]:
    return {"protocol": protocol, "links": 2, "wanted": 2, "outdated": 0, "obstacle": None} | changes


def principal(name: str, kind: str = "user", **changes: Any) -> dict[str, Any]:
    numbers = {"sessions": 1, "requests": 10, "hits": 4, "misses": 1, "denied": 0}
    return {"kind": kind, "name": name} | numbers | changes


def refusal(ago: float, event: str, reason: str | None, **changes: Any) -> dict[str, Any]:
    about = {"listener": "private", "source": "10.0.0.77", "principal": None, "count": 1}
    return {"time": NOW - ago, "event": event, "reason": reason} | about | changes


def rates(points: int = 150) -> dict[str, Any]:
    """Waves, with a burst of failed logins in the middle."""
    wave = [0.5 + 0.3 * math.sin(index / 9) + 0.12 * math.sin(index / 2.3) for index in range(points)]
    burst = [12.0 if 60 < index < 70 else 0.0 for index in range(points)]
    series = {
        "requests": [18_000 * value for value in wave],
        "hits": [15_500 * value for value in wave],
        "misses": [900 * value + 200 for value in wave],
        "refused": [value / 4 for value in burst],
        "logins": [1.5 if index % 20 < 3 else 0.2 for index in range(points)],
        "failed_logins": burst,
        "received_bytes": [2_400_000 * value for value in wave],
        "sent_bytes": [19_000_000 * value for value in wave],
    }
    return {"interval": 2.0, "end": NOW, "series": series}


def busy(**changes: Any) -> dict[str, Any]:
    """A proxy with work, and with a few things that somebody should look at."""
    names = [("sammy", "user"), ("web", "certificate"), ("reports", "user"), ("legacy", "address")]
    names += [("sidecar", "peer"), ("anonymous", "anonymous")]
    filled = {
        "started": NOW - 12.3 * DAY,
        "generation": 4,
        "last_reload": {
            "time": NOW - 540,
            "result": "failure",
            "problem": "/etc/mcproxy/mcproxy.yaml:31: grants[2].roles: no role is called 'aap'; did you mean \"app\"?",
        },
        "workers": {"configured": 4, "alive": 4, "silent": 0, "restarts": 1},
        "listeners": [
            listener(
                sessions=182,
                connections=48_211,
                refused=321,
                encryption="TLS 1.2 or newer, client certificate required",
                addresses=["10.0.0.5:11212", "[fd00::5]:11212"],
                allow=["10.0.0.0/24", "fd00::/64", "192.168.7.12/32"],
                authentication=["sasl", "token", "certificate"],
                certificates=[
                    {"key": "certificate", "expires": NOW + 21.5 * DAY},
                    {"key": "client_ca", "expires": NOW + 1500 * DAY},
                ],
            ),
            listener(
                "sidecar",
                addresses=["unix:/run/mcproxy/memcached.sock"],
                encryption="no TLS",
                sessions=12,
                connections=94,
                authentication=["peer"],
                allow=[],
                certificates=[],
            ),
        ],
        "upstreams": [
            upstream(),
            upstream(
                "sessions",
                address="cache-2.example.com:11211",
                tls=True,
                login="sasl SCRAM-SHA-256 as mcproxy",
                failures=7,
                pools=[pool("text", links=1, obstacle="no connection"), pool("binary")],
                certificates=[{"key": "ca", "expires": NOW + 400 * DAY}],
            ),
        ],
        "principals": [
            principal(
                name,
                kind,
                sessions=120 // (index + 1),
                requests=9_400_123 // (index * index + 1),
                hits=8_100_000 // (index * index + 1),
                misses=500_000,
                denied=17 if index == 2 else 0,
            )
            for index, (name, kind) in enumerate(names)
        ],
        "refusals": [
            refusal(
                12,
                "request_refused",
                "denied (class read)",
                principal="user:reports",
                source="10.0.0.31",
            ),
            refusal(
                75,
                "login_failed",
                "wrong user name or password (by token)",
                principal="unknown",
                count=14,
                source="10.0.0.77",
            ),
            refusal(190, "connection_refused", "its address is not allowed", source="203.0.113.9"),
            refusal(4000, "connection_refused", "tls", source="10.0.0.12"),
            refusal(
                90_000,
                "session_closed",
                "upstream asks for a login again",
                principal="certificate:web",
                listener="sidecar",
                source=None,
            ),
        ],
        "rates": rates(),
        "saturation": {
            "connections": 211,
            "connections_limit": 4096,
            "buffered_bytes": 3_145_728,
            "buffered_bytes_limit": 268_435_456,
            "descriptors": 448,
            "descriptors_limit": 512,
            "busy": 0.37,
        },
    }
    return status(**(filled | changes))


def down() -> dict[str, Any]:
    """No link to its only upstream."""
    pools = [pool(links=0, obstacle="no connection"), pool("binary", links=0, obstacle="no connection")]
    return busy(ready="upstream cache: no connection", upstreams=[upstream(pools=pools, failures=31)])


def hostile() -> dict[str, Any]:
    """Every text that there is, replaced by something that wants to do harm."""
    worst = busy()
    one = HOSTILE[0]
    worst["principals"] = [principal(name) for name in HOSTILE] + [principal("app", name) for name in HOSTILE]
    worst["refusals"] = [
        refusal(number, text, text, listener=text, source=text, principal=text) for number, text in enumerate(HOSTILE)
    ]
    worst["listeners"] = [
        listener(
            text,
            addresses=[text],
            encryption=text,
            authentication=[text],
            allow=[text] * 30,
            upstream=text,
            certificates=[{"key": text, "expires": NOW}],
        )
        for text in HOSTILE
    ]
    worst["upstreams"] = [
        upstream(text, address=text, engine=text, login=text, pools=[pool(text, links=0, obstacle=text)])
        for text in HOSTILE
    ]
    worst["last_reload"] = {"time": NOW, "result": "failure", "problem": HOSTILE[5]}
    return worst | {"version": one, "ready": HOSTILE[1]}
