"""docs/systemd.md followed literally on a machine of its own with systemd as process 1, and what its units promise.

`sh install` is not run: the machine has mcproxy already, in the same place. One machine for all tests here, in order.
"""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support.booted import Booted, available
from tests.support.followed import follow, steps
from tests.support.waiting import eventually

pytestmark = pytest.mark.thorough

CLIENTS = Path(__file__).parents[1] / "support" / "persistent_clients.py"
TEXT = (Path(__file__).parents[2] / "docs" / "systemd.md").read_text()
PAGE = [step for step in steps("systemd.md") if step.machine != "install"]


@pytest.fixture(scope="module")
def machine(short_path: Callable[[], Path]) -> Iterator[Booted]:
    if why_not := available():
        pytest.skip(why_not)
    directory = short_path()
    (directory / "files" / "root").mkdir(parents=True)
    shutil.copy(CLIENTS, directory / "files" / "root" / "clients.py")
    with Booted(directory, directory / "files") as booted:
        booted.run("ip link add private0 type veth peer name client0 && ip address add 10.0.0.5/24 dev private0")
        booted.run("ip link set private0 up && ip link set client0 up")
        yield booted


@pytest.fixture(scope="module")
def installed(machine: Booted) -> Booted:
    """The machine after all of the page."""
    for step in PAGE:
        follow(step, partial(machine.run, check=step.promised is None))
    return machine


def shown(machine: Booted, name: str, unit: str = "mcproxy") -> str:
    return machine.run(f"systemctl show {unit} --property {name} --value").strip()


def restart(machine: Booted) -> None:
    machine.run("systemctl restart mcproxy && timeout 10 sh -c 'until mcproxy health --ready; do sleep 0.2; done'")


def test_the_page_prints_what_it_promises(installed: Booted) -> None:
    assert sum(step.promised is not None for step in PAGE) >= 9
    assert shown(installed, "ActiveState") == "active"


def test_nothing_is_left_that_the_service_could_do(installed: Booted) -> None:
    for unit, user in (("mcproxy", "mcproxy"), ("memcached", "memcache")):
        status = installed.run(f"cat /proc/{shown(installed, 'MainPID', unit)}/status")
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(fields[capabilities], 16) == 0, (unit, capabilities)
        assert fields["NoNewPrivs"] == "1"
        assert fields["Seccomp"] == "2"
        assert fields["Uid"].split()[0] == installed.run(f"id -u {user}").strip()


def test_memcached_is_for_its_group_alone(installed: Booted) -> None:
    connect = """/usr/bin/python3 -c 'import socket; socket.socket(1).connect("/run/memcached/memcached.sock")' 2>&1"""
    assert "PermissionError" in installed.run(connect, user="nobody", check=False)
    assert "PermissionError" in installed.run(connect, user="mcproxy", check=False)  # the service has the group, not he
    interfaces = installed.run(f"nsenter -t {shown(installed, 'MainPID', 'memcached')} -n ip -brief link")
    assert [line.split()[0] for line in interfaces.splitlines()] == ["lo"]


def test_nothing_was_forbidden_that_it_needs(installed: Booted) -> None:
    """Whatever the system-call filter refuses is an error, and what mcproxy can't do it says."""
    log = installed.run("journalctl -u mcproxy -o cat")
    records = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {"listening", "started", "ready"} <= {record["event"] for record in records}
    wrong = [record for record in records if record["level"] in ("error", "critical")]
    # The page's own mistake, if it stood there long enough for the program to look.
    assert [record for record in wrong if "nonsense: unknown key" not in record.get("problem", "")] == []
    assert "Traceback" not in log
    assert "Operation not permitted" not in log
    installed.run("test -s /var/lib/mcproxy/users.key")


def test_several_workers_run_in_it(installed: Booted) -> None:
    installed.run("cp -p /etc/mcproxy/mcproxy.yaml /root/ && echo 'workers: 2' >> /etc/mcproxy/mcproxy.yaml")
    try:
        restart(installed)
        processes = installed.run("cat /sys/fs/cgroup/system.slice/mcproxy.service/cgroup.procs").split()
        assert len(processes) == 3
        installed.run("systemctl reload mcproxy")
    finally:
        installed.run("cp -p /root/mcproxy.yaml /etc/mcproxy/")
        restart(installed)


def test_a_key_may_be_a_credential(installed: Booted) -> None:
    """With the page's drop-in a reload goes on to work, though its check can't read credentials."""
    drop_in = "/run/systemd/system/mcproxy.service.d/credential.conf"
    installed.run(f"mkdir -p $(dirname {drop_in}) && cp -p /etc/mcproxy/mcproxy.yaml /etc/mcproxy/tls/tls.key /root/")
    [text] = re.findall(r"^```ini\n(\[Service\]\nLoadCredential=.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    text = text.replace("upstream-password:/etc/mcproxy/upstream-password", "tls.key:/root/tls.key")
    installed.run(f"cat > {drop_in} <<'END'\n{text}END\nsystemctl daemon-reload")
    try:
        place = "/run/credentials/mcproxy.service/tls.key"
        installed.run(f"sed -i 's#key: /etc/.*#key: {place}#' /etc/mcproxy/mcproxy.yaml && rm /etc/mcproxy/tls/tls.key")
        restart(installed)
        assert "PermissionError" in installed.run(
            f"/usr/bin/python3 -c 'open(\"{place}\")' 2>&1", user="nobody", check=False
        )
        reloads = "curl -s http://127.0.0.1:9156/metrics | grep 'mcproxy_reloads_total{result=\"success\"}'"
        before = installed.run(reloads)
        installed.run("systemctl reload mcproxy")
        eventually("it has reloaded", lambda: installed.run(reloads) != before, within=10)
    finally:
        installed.run(
            f"cp -p /root/mcproxy.yaml /etc/mcproxy/ && cp -p /root/tls.key /etc/mcproxy/tls/ && rm {drop_in}"
        )
        installed.run("systemctl daemon-reload")
        restart(installed)


def test_restarts_under_load_refuse_nobody(installed: Booted) -> None:
    connected = "ss -Htn state established 'sport = :11212' | wc -l"
    installed.run("nohup /usr/bin/python3 /root/clients.py new /root/end > /root/counts 2>&1 < /dev/null &")
    eventually("clients are there", lambda: int(installed.run(connected)) >= 8, within=30, every=0.1)
    assert shown(installed, "NRestarts") == "0"
    for _ in range(3):
        before = shown(installed, "MainPID")
        restart(installed)
        assert shown(installed, "MainPID") != before
        eventually("they are back", lambda: int(installed.run(connected)) >= 8, within=30, every=0.1)
    installed.run("touch /root/end")
    counted = eventually("the clients have ended", lambda: installed.run("cat /root/counts").strip(), within=30)
    counts = json.loads(counted)
    assert (counts["refused"], counts["failed"], counts["errors"]) == (0, 0, 0), counts
    assert counts["connections"] >= 4 * 8
    assert counts["requests"] > counts["connections"]
    assert shown(installed, "Result") == "success"


def test_a_proxy_that_hangs_is_replaced(installed: Booted) -> None:
    """With a shorter watchdog than the unit's, and no wait before the new start."""
    drop_in = "/run/systemd/system/mcproxy.service.d/quick.conf"
    installed.run(f"mkdir -p $(dirname {drop_in}) && printf '[Service]\\nWatchdogSec=1s\\nRestartSec=0\\n' > {drop_in}")
    installed.run("systemctl daemon-reload")
    try:
        restart(installed)
        before = shown(installed, "MainPID")
        time.sleep(2)  # two periods: while it turns it is left alone
        assert shown(installed, "MainPID") == before
        installed.run(f"kill -STOP {before}")
        eventually(
            "another one runs",
            lambda: shown(installed, "MainPID") not in (before, "0") and shown(installed, "ActiveState") == "active",
            within=30,
            every=0.2,
        )
        assert "Watchdog timeout" in installed.run("journalctl -u mcproxy -o cat")
    finally:
        installed.run(f"rm {drop_in} && systemctl daemon-reload")
        restart(installed)
