"""What `mcproxy top` makes of answers that are no status: one line that says so."""

import json
from typing import Any, cast

import pytest

from mcproxy.cli.admin_client import Admin
from mcproxy.cli.top import asking
from mcproxy.cli.top.asking import NoStatus, Source
from tests.support import status_samples


class AnyAdmin:
    bind = "127.0.0.1:1"


def ask(monkeypatch: pytest.MonkeyPatch, body: bytes) -> dict[str, Any]:
    monkeypatch.setattr(asking, "fetch", lambda *_, **__: (200, body))
    return Source(cast(Admin, AnyAdmin())).ask()


def encoded(**changes: object) -> bytes:
    return json.dumps(status_samples.busy() | changes).encode()


def test_a_status_gets_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(monkeypatch, encoded())["verdict"]["level"] == "warning"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        encoded(now=float("inf")),
        encoded(now=float("nan")),
        encoded(now=10**400),
        encoded(now="soon"),
        encoded(now=1e300),
        encoded(started=None),
        encoded(refusals=[status_samples.busy()["refusals"][0] | {"time": 1e17}]),
        encoded(rates={"interval": 0, "series": {}}),
        encoded(rates={"interval": 2, "series": {"requests": [10**400]}}),
        encoded(upstreams=[{}]),
        json.dumps({key: value for key, value in status_samples.busy().items() if key != "version"}).encode(),
    ],
    ids=range(16),
)
def test_what_is_no_status_is_one_line(monkeypatch: pytest.MonkeyPatch, body: bytes) -> None:
    with pytest.raises(NoStatus, match=r"^127\.0\.0\.1:1: /status\.json is not understood; is that another version\?$"):
        ask(monkeypatch, body)
