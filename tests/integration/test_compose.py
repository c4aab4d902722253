"""deploy/compose: it parses, it is as closed as it says, and its pieces work together. No engine runs here: the same
programs are started by hand, with the same configuration files."""

import ipaddress
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from tests.support.certificates import Certificates
from tests.support.compose import (
    ADDRESS,
    COMPOSE,
    ask_prometheus,
    compose_file,
    make_certificates,
    make_volumes,
    moved,
    network,
    program,
    running,
    talk,
)
from tests.support.configuration import write_users
from tests.support.image import ROOT, USER
from tests.support.proxy import Proxy
from tests.support.waiting import eventually

FILE = compose_file()
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
CONFIGURATION = (COMPOSE / "mcproxy/mcproxy.yaml").read_text()


def test_compose_itself_can_read_it() -> None:
    known = [command for command in (["docker-compose"], ["docker", "compose"]) if is_installed(command)]
    assert known, "docker-compose is not installed: apt-get install docker-compose"
    for command in known:
        done = subprocess.run([*command, "config"], cwd=COMPOSE, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        read = yaml.safe_load(done.stdout)["services"]
        assert {"memcached", "mcproxy", "prometheus"} <= set(read)


def is_installed(command: list[str]) -> bool:
    return bool(shutil.which(command[0])) and not subprocess.run([*command, "version"], capture_output=True).returncode


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    user, _, group = service["user"].partition(":")
    assert int(group) == USER
    assert int(user) > 0 or name == "setup"
    assert "mem_limit" in service or name == "setup"
    for published in service.get("ports", []):
        assert published.startswith("127.0.0.1:"), published


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there(name: str) -> None:
    for mount in SERVICES[name].get("volumes", []):
        source, place, *_ = mount.split(":")
        assert place.startswith("/")
        if source.startswith("."):
            assert (COMPOSE / source).is_dir(), f"{source}: a single file would stay the old one"
            assert mount.endswith(":ro")
        else:
            assert source in FILE["volumes"]


def test_nothing_but_mcproxy_reaches_memcached() -> None:
    memcached = SERVICES["memcached"]
    assert memcached["network_mode"] == "none"
    assert "ports" not in memcached
    assert "-l" not in memcached["command"]
    sharing = [name for name, service in SERVICES.items() if any("socket:" in m for m in service.get("volumes", []))]
    assert sharing == ["memcached", "mcproxy"]


def test_the_authority_is_seen_by_setup_alone_and_keys_are_read_only() -> None:
    for name, service in SERVICES.items():
        mounts = {mount.split(":")[0]: mount for mount in service.get("volumes", [])}
        assert ("authority" in mounts) == (name == "setup")
        assert "tls" not in mounts or name == "setup" or mounts["tls"].endswith(":ro")
    assert "tls" not in {mount.split(":")[0] for mount in SERVICES["prometheus"]["volumes"]}


def test_the_allowlist_is_the_network() -> None:
    settings = yaml.safe_load(CONFIGURATION)
    [subnet] = [one["subnet"] for one in FILE["networks"]["cache"]["ipam"]["config"]]
    assert settings["listeners"]["applications"]["allow"] == [subnet]
    assert ipaddress.ip_network(subnet).is_private
    assert FILE["networks"]["monitoring"]["internal"] is True


def test_setup_renews_the_certificate_and_keeps_authority_and_token(tmp_path: Path) -> None:
    make_volumes(tmp_path)
    first = make_certificates(tmp_path)
    kept = {
        name: (tmp_path / name).read_bytes() for name in ("authority/ca.pem", "monitoring/token", "monitoring/ca.crt")
    }
    serial = x509.load_pem_x509_certificate((tmp_path / "tls/tls.crt").read_bytes()).serial_number

    assert make_certificates(tmp_path, "cache.example.com", "10.0.0.5") == first
    assert {name: (tmp_path / name).read_bytes() for name in kept} == kept
    certificate = x509.load_pem_x509_certificate((tmp_path / "tls/tls.crt").read_bytes())
    assert certificate.serial_number != serial
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["cache.example.com"]
    assert names.get_values_for_type(x509.IPAddress) == [ipaddress.ip_address("10.0.0.5")]

    modes = {"authority/ca.pem": 0o600, "tls/tls.key": 0o640, "monitoring/token": 0o640, "tls/tls.crt": 0o644}
    for name, mode in modes.items():
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == mode, name
    assert sorted(path.name for path in (tmp_path / "tls").iterdir()) == ["tls.crt", "tls.key"]
    ca = tmp_path / "ca.crt"
    ca.write_text(first)
    verified = subprocess.run(
        [
            "openssl",
            "verify",
            "-x509_strict",
            "-CAfile",
            ca,
            "-verify_hostname",
            "cache.example.com",
            tmp_path / "tls/tls.crt",
        ],
        capture_output=True,
        text=True,
    )
    assert verified.returncode == 0, verified.stderr


def test_its_pieces_work_together(tmp_path: Path, certificates: Certificates, short_path: Any) -> None:
    """memcached, mcproxy and Prometheus, each with what compose.yaml and the files beside it say."""
    root: Path = short_path()
    make_volumes(root)
    make_certificates(root)
    write_users(root / "var/lib/mcproxy/users", {"sammy": "correct horse"})
    (root / "mcproxy.yaml").write_text(moved(CONFIGURATION, root))
    checked = subprocess.run(
        [sys.executable, "-m", "mcproxy", "check", "--config", str(root / "mcproxy.yaml")],
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 0, checked.stderr

    prometheus = moved((COMPOSE / "prometheus/prometheus.yml").read_text(), root)
    # Names of other containers are nobody's here; the certificate is for this one too.
    prometheus = prometheus.replace("mcproxy:9156", "localhost:9156").replace("_interval: 15s", "_interval: 1s")
    (root / "prometheus.yml").write_text(prometheus)
    promtool = subprocess.run(
        [program("promtool"), "check", "config", str(root / "prometheus.yml")], capture_output=True, text=True
    )
    assert promtool.returncode == 0, promtool.stdout + promtool.stderr
    assert "2 rule files found" in promtool.stdout

    memcached = [moved(word, root) for word in SERVICES["memcached"]["command"]] + ["-u", "root"] * (os.geteuid() == 0)
    watching = [program("prometheus"), f"--config.file={root}/prometheus.yml", f"--storage.tsdb.path={tmp_path}/data"]
    watching.append("--web.listen-address=127.0.0.1:9090")
    with network() as runner, running([*runner, program(memcached[0]), *memcached[1:]]):
        proxy = Proxy(root, yaml.safe_load((root / "mcproxy.yaml").read_text()), certificates)
        proxy.runner = runner
        proxy.start()
        try:
            authority = root / "monitoring/ca.crt"
            login = "set _ 0 0 19\\r\\nsammy correct horse\\r\\n"
            told = talk(
                runner, authority, login + "set app:a 0 0 1\\r\\nx\\r\\nget app:a\\r\\nget other\\r\\nquit\\r\\n"
            )
            assert told == "STORED\r\nSTORED\r\nVALUE app:a 0 1\r\nx\r\nEND\r\nCLIENT_ERROR access denied\r\n"
            assert talk(runner, authority, login, source="127.0.0.1") in ("", "ConnectionResetError", "SSLEOFError")
            ready = [
                *runner,
                sys.executable,
                "-m",
                "mcproxy",
                "health",
                "--ready",
                "--config",
                str(root / "mcproxy.yaml"),
            ]
            asked = subprocess.run(ready, capture_output=True, text=True, timeout=30)
            assert asked.returncode == 0, asked.stderr
            documented = subprocess.run(
                [*runner, "sh", "-c", documented_command().replace("-connect localhost", f"-connect {ADDRESS}")],
                cwd=authority.parent,
                capture_output=True,
                text=True,
                timeout=30,
            )
            assert documented.stdout == "STORED\nSTORED\nVALUE app:greeting 0 5\nhello\nEND\n", documented.stderr
            with running([*runner, *watching]):
                found = eventually("a scrape", lambda: up(ask_prometheus(runner, "targets")), within=30, every=0.2)
                assert found == ["up"]
        finally:
            proxy.assert_good_end()


def documented_command() -> str:
    """The one of docs/containers.md that talks to the proxy, for a directory that has ca.crt."""
    [command] = re.findall(
        r"^```sh\n(printf .*?)\n```$", (ROOT / "docs/containers.md").read_text(), re.DOTALL | re.MULTILINE
    )
    return str(command)


def up(answer: dict[str, Any]) -> list[str]:
    """The health of its targets, once it is known of all."""
    states = [target["health"] for target in answer.get("data", {}).get("activeTargets", [])]
    return states if states and "unknown" not in states else []
