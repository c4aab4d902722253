"""The examples in config/, each with everything that it names, through `mcproxy check`."""

import shutil
from pathlib import Path

import pytest

from mcproxy.cli.main import main
from mcproxy.config.load import loads
from mcproxy.config.material import named_files
from mcproxy.config.schema import Settings
from tests.support.certificates import Certificates
from tests.support.configuration import write_users

CONFIG = Path(__file__).parents[3] / "config"
OTHERS = {"mcproxy.example.yaml", "mcproxy.minimal.yaml"}
EXAMPLES = sorted(path.name for path in CONFIG.glob("*.yaml") if path.name not in OTHERS)
GATEWAYS = [name for name in EXAMPLES if name.startswith("gateway-")]
NOTHING_TO_DO_WITH_IT = ("there is no directory", " expires in ")
"""Notes about the machine of the test, and its certificates, which are made for one run."""


def settings_of(name: str) -> Settings:
    return loads((CONFIG / name).read_text(), CONFIG / name, check_machine=False)


def install(name: str, directory: Path, certificates: Certificates) -> Path:
    """The example with its files, below `directory` instead of /etc/mcproxy."""
    text = (CONFIG / name).read_text().replace("/etc/mcproxy/", f"{directory}/")
    path = directory / "mcproxy.yaml"
    path.write_text(text)
    for place, file in named_files(loads(text, path, check_machine=False)):
        file.parent.mkdir(parents=True, exist_ok=True)
        match place[-1]:
            case "ca" | "client_ca":
                shutil.copy(certificates.authority, file)
            case "certificate" | "key":
                ours = "server" if place[0] == "listeners" else "client"
                shutil.copy(getattr(certificates, f"{ours}_{place[-1]}"), file)
            case "password_file":
                file.touch(mode=0o600)
                file.write_text("between-two-machines\n")
            case "users_file":
                write_users(file, {"app": "between-two-machines"})
            case other:
                pytest.fail(f"no file is made for {other}")
        if place[-1] == "key":
            file.chmod(0o600)
    return path


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_right_and_says_nothing_that_is_hardly_meant(
    name: str,
    tmp_path: Path,
    certificates: Certificates,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CACHE_PASSWORD", "between-two-machines")
    status = main(["check", "--config", str(install(name, tmp_path, certificates))])
    told = capsys.readouterr()
    assert (status, told.err) == (0, "")
    lines = told.out.splitlines()
    assert any(line.startswith("upstream") for line in lines)
    assert not any("nobody" in line for line in lines)
    notes = [line for line in lines if line.startswith("note: ")]
    assert [note for note in notes if not any(part in note for part in NOTHING_TO_DO_WITH_IT)] == []


@pytest.mark.parametrize("name", GATEWAYS)
def test_clients_of_a_gateway_need_no_login_and_are_held_to_grants(name: str) -> None:
    settings = settings_of(name)
    for listener in settings.listeners.values():
        assert {"peer", "address", "none"}.issuperset(listener.authentication)
    granted = {role for grant in settings.grants for role in grant.roles} | set(settings.default_roles)
    assert granted
    for role in granted:
        assert "*" not in settings.roles[role].keys


def test_there_is_one_for_each_set_up() -> None:
    ways = set()
    for name in GATEWAYS:
        for upstream in settings_of(name).all_upstreams.values():
            login = upstream.login
            how = None if login is None else login.mechanism or login.method
            ways.add((upstream.protocol, upstream.engine, upstream.tls is not None, how))
    assert ways == {
        ("binary", "memcached", False, "PLAIN"),
        ("binary", "memcached", False, "SCRAM-SHA-256"),
        ("binary", "memcached", True, "PLAIN"),
        ("text", "memcached", True, "token"),
        ("same", "memcached", True, "SCRAM-SHA-256"),
        ("same", "memcached", True, "SCRAM-SHA-256-PLUS"),
        ("same", "memcached", True, "EXTERNAL"),
        ("same", "twemproxy", False, None),
    }


def test_the_page_leads_to_each_of_them() -> None:
    page = (CONFIG.parent / "docs" / "gateway.md").read_text()
    for name in (*EXAMPLES, "nutcracker.yml", "haproxy.cfg"):
        assert f"](../config/{name})" in page
