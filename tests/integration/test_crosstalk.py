"""Fifty clients of three kinds on shared links: nobody ever gets another's value, or a part of one.

Five seconds unless MCPROXY_CROSSTALK_SECONDS says otherwise; scripts/test may ask for thirty.
"""

import json
import os
import subprocess
import sys

import pytest

from tests.support.configuration import PASSWORDS
from tests.support.crowd import Counts, compose, judge
from tests.support.proxy import Proxy
from tests.support.tap import Tap

pytestmark = pytest.mark.alone

SECONDS = float(os.environ.get("MCPROXY_CROSSTALK_SECONDS", "5"))
CROWDS = [17, 17, 16]


def test_no_value_is_foreign_or_torn(proxy: Proxy, tap: Tap) -> None:
    order = {
        "seconds": SECONDS,
        "listeners": {name: proxy.host_and_port(name) for name in ("plain", "tls")},
        "authority": str(proxy.certificates.authority),
        "user": "sammy",
        "password": PASSWORDS["sammy"],
    }
    processes = []
    for number, clients in enumerate(CROWDS):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.crowd"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps({**order, "crowd": number, "clients": clients}))
        process.stdin.close()
        process.stdin = None
        processes.append(process)
    total, messages = Counts(), []
    for process in processes:
        printed, errors = process.communicate(timeout=SECONDS + 60)
        assert process.returncode == 0, errors
        report = json.loads(printed)
        messages += report.pop("messages")
        total.add(Counts(**report))
    assert (total.foreign, total.torn, total.failures) == (0, 0, 0), f"{total} {messages}"
    assert total.values > 200 * SECONDS, f"too few values to show anything: {total}"
    links = {link for verb in ("get", "set", "GETK", "SET") for link in tap.recording.links(verb)}
    assert len(links) <= 4 + 2, f"{len(links)} links for 50 clients: they were not shared"


def test_the_count_finds_foreign_and_torn_values() -> None:
    value = compose("app:k", "me", 3, 1000)
    for key, given, owner, expected in [
        ("app:k", value, "me", (0, 0)),
        ("app:k", value, None, (0, 0)),
        ("app:other", value, None, (1, 0)),
        ("app:k", value, "you", (1, 0)),
        ("app:k", value[:-1], "me", (0, 1)),
        ("app:k", value[:500] + b"!" + value[501:], "me", (0, 1)),
        ("app:k", b"END", "me", (0, 1)),
        ("app:k", b"", "me", (0, 1)),
    ]:
        counts = Counts()
        judge(counts, key, given, owner)
        assert (counts.foreign, counts.torn) == expected, (key, given[:30], owner)
