"""deploy/firewall: rules that the kernel applies to packets as mcproxy applies the allowlist to connections.

nftables' rules are loaded in a network namespace with a cable to another one, from which every address of a table tries
to connect. firewalld is checked in the same way, running in a machine of its own.
"""

import ctypes
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import pytest
import yaml

from mcproxy.config.load import loads
from mcproxy.policy.allowlist import Allowlist
from tests.support.booted import Booted, available
from tests.support.configuration import LOOPBACK
from tests.support.namespaces import FAR_ADDRESS, NEAR_ADDRESS, Namespaces, inside, ip
from tests.support.waiting import eventually

ROOT = Path(__file__).parents[2]
FIREWALL = ROOT / "deploy" / "firewall"
PORT = 11212
MEMCACHED = 11211
OTHER_PORT = 22
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
FAR_GATEWAY = "fd00:64::2"
NEAR = {4: NEAR_ADDRESS, 6: "fd00:64::1"}
ALLOW = [
    "10.64.0.0/30",
    "10.0.0.0/24",
    "10.0.0.128/25",
    "192.168.7.12",
    "fd00:a::/64",
    "fd00:b::7",
    "::ffff:172.16.0.0/108",
]
TRY = [
    *(
        FAR_ADDRESS,
        "10.0.0.1",
        "10.0.0.254",
        "10.0.1.1",
        "9.255.255.254",
        "192.168.7.11",
        "192.168.7.12",
        "192.168.7.13",
    ),
    *("172.15.255.254", "172.16.0.1", "172.31.255.254", "172.32.0.1"),
    *("fd00:a::1", "fd00:a:0:0:ffff::1", "fd00:a:0:1::1", "fd00:b::6", "fd00:b::7", "fd00:b::8", "2001:db8::1"),
]


def configuration(
    directory: Path, bind: list[str], allow: list[str], upstream: str = "unix:/run/memcached/memcached.sock"
) -> Path:
    listener = {"bind": bind, "allow": allow, "plaintext": True, "authentication": ["address"]}
    path = directory / "mcproxy.yaml"
    grants = [{"address": network, "as": "client", "roles": ["app"]} for network in allow[:1]]
    settings = {
        "listeners": {"private": listener},
        "upstream": {"address": upstream, "plaintext": not upstream.startswith(("unix:", "127."))},
        "roles": {"app": {"commands": ["read"], "keys": ["*"]}},
        "grants": grants,
    }
    path.write_text(yaml.safe_dump(settings))
    return path


def generated(firewall: str, path: Path) -> str:
    command = [sys.executable, str(FIREWALL / "generate"), firewall, "--config", str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("firewall", "example"), [("nftables", "mcproxy.nft"), ("firewalld", "mcproxy.xml")])
def test_the_examples_say_what_the_configuration_says(firewall: str, example: str) -> None:
    assert generated(firewall, ROOT / "deploy" / "systemd" / "mcproxy.yaml") == (FIREWALL / example).read_text()


def test_a_wrong_configuration_gives_no_rules(tmp_path: Path) -> None:
    path = configuration(tmp_path, [f"10.0.0.5:{PORT}"], ["10.0.0.5/24"])
    command = [sys.executable, str(FIREWALL / "generate"), "nftables", "--config", str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "10.0.0.0/24" in done.stderr


def test_local_listeners_open_nothing(tmp_path: Path) -> None:
    rules = generated("nftables", configuration(tmp_path, [f"127.0.0.1:{PORT}"], LOOPBACK))
    assert f"dport {PORT}" not in rules
    assert re.findall(r"drop$", rules, re.MULTILINE)


@pytest.mark.parametrize(
    ("upstream", "closed"), [("127.0.0.1:11299", True), ("10.0.0.5:11299", True), ("10.0.0.9:11299", False)]
)
def test_the_port_of_an_upstream_on_this_machine_is_closed(tmp_path: Path, upstream: str, closed: bool) -> None:
    path = configuration(tmp_path, [f"10.0.0.5:{PORT}"], ["10.0.0.0/24"], upstream)
    ports = {MEMCACHED, PORT, 9156, *([11299] if closed else [])}
    dropped = re.findall(r"th dport \{ (.*) \} counter drop", generated("nftables", path))
    assert dropped == [", ".join(map(str, sorted(ports)))]


@pytest.fixture
def cable() -> Iterator[Namespaces]:
    """`near` is the machine with the firewall; `far` has every address of TRY."""
    with Namespaces() as namespaces:
        ip("-netns", namespaces.near, "address", "add", f"{NEAR[6]}/64", "dev", "cable", "nodad")
        route(lambda *words: ip("-netns", namespaces.near, *words))
        populate(namespaces.far, "cable")
        yield namespaces


def route(near: Callable[..., str]) -> None:
    """`near` runs ip there. Everybody else is at the cable's other end."""
    for version, gateway in ((4, FAR_ADDRESS), (6, FAR_GATEWAY)):
        near(f"-{version}", "route", "add", "default", "via", gateway)


def populate(far: str, interface: str) -> None:
    """Give the namespace `far` the addresses of TRY."""
    ip("-netns", far, "address", "add", f"{FAR_GATEWAY}/64", "dev", interface, "nodad")
    for address in TRY:
        if address != FAR_ADDRESS:
            more = ["nodad"] if ":" in address else []
            ip("-netns", far, "address", "add", address, "dev", interface, *more)


def judged_as_the_allowlist_judges(near: Path, far: Path, path: Path) -> None:
    allowlist = Allowlist(loads(path.read_text(), path, check_machine=False).listeners["private"].allow)
    expected = {address for address in TRY if allowlist.admits(address)}
    assert 0 < len(expected) < len(TRY)
    assert admitted(near, far, PORT) == expected
    assert admitted(near, far, MEMCACHED) == set()
    assert admitted(near, far, OTHER_PORT) == set(TRY)


def in_namespace(namespace: Path, family: int) -> socket.socket:
    """A TCP socket of a network namespace: that of the thread which made it, and which ends then."""
    made: list[socket.socket] = []

    def make() -> None:
        with namespace.open() as opened:
            set_namespace(opened.fileno())
        made.append(socket.socket(family, socket.SOCK_STREAM))

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    return made[0]


def set_namespace(descriptor: int) -> None:
    """os.setns came with Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.setns(descriptor, 0) == 0, os.strerror(ctypes.get_errno())


def listening(stack: ExitStack, namespace: Path, port: int) -> None:
    for version, family in FAMILIES.items():
        listener = stack.enter_context(in_namespace(namespace, family))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((NEAR[version], port))
        listener.listen(len(TRY) + 1)


def admitted(near: Path, far: Path, port: int) -> set[str]:
    """Addresses of TRY that get through to a port of `near`.

    A connection attempt's packet is judged before connect(2) returns, so when the last of all is through, which goes to
    a port that nobody speaks about, whoever was going to be has been.
    """
    with ExitStack() as stack:
        for listened in {port, OTHER_PORT}:
            listening(stack, near, listened)

        def attempt(address: str, to: int) -> socket.socket:
            version = ip_address(address).version
            client = stack.enter_context(in_namespace(far, FAMILIES[version]))
            client.setblocking(False)
            client.bind((address, 0))
            client.connect_ex((NEAR[version], to))
            return client

        tries = {address: attempt(address, port) for address in TRY}
        last = attempt(FAR_ADDRESS, OTHER_PORT)
        eventually("the last one is through", lambda: is_connected(last))
        return {address for address, client in tries.items() if is_connected(client)}


def is_connected(client: socket.socket) -> bool:
    try:
        client.getpeername()
    except OSError:
        return False
    return True


def nft(namespaces: Namespaces, *arguments: str, rules: str | None = None) -> str:
    program = shutil.which("nft", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    assert program is not None, "nft is not installed: apt-get install nftables"
    command = [*inside(namespaces.near), program, *arguments]
    done = subprocess.run(command, input=rules, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "bind", [[f"{NEAR[4]}:{PORT}", f"[{NEAR[6]}]:{PORT}"], [f"[::]:{PORT}"]], ids=["addresses", "all"]
)
def test_packets_are_judged_as_the_allowlist_judges(cable: Namespaces, tmp_path: Path, bind: list[str]) -> None:
    path = configuration(tmp_path, bind, ALLOW)
    near, far = (Path("/run/netns", name) for name in (cable.near, cable.far))
    assert admitted(near, far, PORT) == set(TRY)  # without a firewall
    rules = generated("nftables", path)
    for _ in range(2):  # it replaces what was loaded before
        nft(cable, "-f", "-", rules=rules)
    judged_as_the_allowlist_judges(near, far, path)


def test_an_address_with_an_interface_is_written_without_it(cable: Namespaces, tmp_path: Path) -> None:
    path = configuration(tmp_path, [f"[fe80::1%cable]:{PORT}"], ["fe80::/10"])
    rules = generated("nftables", path)
    assert f"ip6 daddr fe80::1 tcp dport {PORT} ip6 saddr {{ fe80::/10 }} accept" in rules
    nft(cable, "--check", "-f", "-", rules=rules)


def test_firewalld_judges_alike(short_path: Callable[[], Path], tmp_path: Path) -> None:
    if why_not := available():
        pytest.skip(why_not)
    path = configuration(tmp_path, [f"{NEAR[4]}:{PORT}", f"[{NEAR[6]}]:{PORT}"], ALLOW)
    directory = short_path()
    policies = directory / "files" / "etc" / "firewalld" / "policies"
    policies.mkdir(parents=True)
    (policies / "mcproxy.xml").write_text(generated("firewalld", path))
    with Namespaces() as namespaces, Booted(directory, directory / "files") as machine:
        # A cable of its own to the machine, in place of the one that they have.
        ip("-netns", namespaces.far, "link", "delete", "cable")
        cable = ["link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(machine.leader)]
        ip("-netns", namespaces.far, *cable)
        ip("-netns", namespaces.far, "address", "add", f"{FAR_ADDRESS}/30", "dev", "cable")
        ip("-netns", namespaces.far, "link", "set", "cable", "up")
        for address in NEAR.values():
            machine.run(f"ip address add {address}/{64 if ':' in address else 30} dev cable nodad")
        machine.run("ip link set cable up")
        route(lambda *words: machine.run(f"ip {' '.join(words)}"))
        populate(namespaces.far, "cable")
        near, far = Path(f"/proc/{machine.leader}/ns/net"), Path("/run/netns", namespaces.far)
        machine.run("systemctl start firewalld")
        # A zone that would let everybody in: the policy goes before it.
        machine.run(f"firewall-cmd --add-port={PORT}/tcp --add-port={MEMCACHED}/tcp")
        judged_as_the_allowlist_judges(near, far, path)


def test_firewalld_takes_the_policy(tmp_path: Path) -> None:
    path = configuration(tmp_path, [f"10.0.0.5:{PORT}", f"[fd00:64::1]:{PORT}"], ALLOW)
    (tmp_path / "policies").mkdir()
    for name in ("zones", "services", "icmptypes", "helpers", "ipsets"):
        (tmp_path / name).mkdir()
    (tmp_path / "firewalld.conf").write_text("DefaultZone=public\nFirewallBackend=nftables\n")
    (tmp_path / "policies" / "mcproxy.xml").write_text(generated("firewalld", path))
    assert offline(tmp_path, "--check-config") == ""
    told = offline(tmp_path, "--info-policy", "mcproxy")
    rules = [line.strip() for line in told.splitlines() if "rule " in line]
    accepted = {
        match[1] for rule in rules if rule.endswith("accept") and (match := re.search(r'source address="(\S+)"', rule))
    }
    assert accepted == {"10.64.0.0/30", "10.0.0.0/24", "192.168.7.12", "172.16.0.0/12", "fd00:a::/64", "fd00:b::7"}
    assert sum(rule.endswith("drop") for rule in rules) == 6  # two protocols, three ports


def offline(directory: Path, *arguments: str) -> str:
    """What firewall-offline-cmd says, complaints included, about the configuration in a directory."""
    unpacked = ROOT / ".debian"
    program = shutil.which("firewall-offline-cmd", path=f"{os.environ.get('PATH', '')}:{unpacked}/usr/bin")
    assert program is not None, "firewall-offline-cmd was not found: apt-get install firewalld"
    environment = {**os.environ, "PYTHONPATH": str(unpacked / "usr/lib/python3/dist-packages")}
    command = ["/usr/bin/python3", program, "--system-config", str(directory), *arguments]
    if unpacked in Path(program).parents:
        command += ["--default-config", str(unpacked / "usr/lib/firewalld")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
    return "\n".join(line for line in (done.stdout + done.stderr).splitlines() if line.strip() not in ("", "success"))
