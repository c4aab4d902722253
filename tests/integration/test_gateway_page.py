"""docs/gateway.md: the commands of every set-up, as a reader would paste them.

They use ports of their own choice, so each section runs in a network namespace; and its files and sockets are in a
directory of the test's, in place of those that the page names.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECTIONS = {
    section.partition("\n")[0]: re.findall(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    for section in re.split(r"^## ", (ROOT / "docs" / "gateway.md").read_text(), flags=re.MULTILINE)[1:]
}
PREPARATION = "To try them"
SET_UPS = [name for name, commands in SECTIONS.items() if commands and name != PREPARATION]
USERS_OF_SASL = "memcached -S"
ELSEWHERE = {
    "/etc/mcproxy": "etc",
    "/etc/memcached": "sasl",
    "/run/mcproxy": "run",
    "/run/memcached": "cache",
    "/tmp/": "",
}
# A reader without privileges, but that he may read, so that he gets at this Python wherever it is.
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
NOBODY += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]


def moved(text: str, directory: Path) -> str:
    return re.sub("|".join(ELSEWHERE), lambda place: f"{directory}/{ELSEWHERE[place[0]]}", text)


def given_to_nobody(directory: Path) -> None:
    directory.parent.chmod(0o711)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, 65534, 65534)


def programs(directory: Path) -> Path:
    """mcproxy, and a sudo that changes nobody."""
    memcached = shutil.which("memcached", path="/usr/bin:/usr/local/bin:" + os.environ.get("PATH", ""))
    found = directory / "bin"
    found.mkdir()
    for name, command in (
        ("mcproxy", f"exec {sys.executable} -m mcproxy"),
        ("sudo", "exec"),
        ("memcached", f"exec {memcached}"),
    ):
        (found / name).write_text(f'#!/bin/sh\n{command} "$@"\n')
        (found / name).chmod(0o755)
    return found


def test_every_set_up_has_its_commands() -> None:
    assert len(SET_UPS) == 9


@pytest.mark.parametrize("name", SET_UPS)
def test_the_commands_work(name: str, short_path: Callable[[], Path]) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make network namespaces")
    directory = short_path()
    (directory / "config").mkdir()
    for example in (ROOT / "config").iterdir():
        (directory / "config" / example.name).write_text(moved(example.read_text(), directory))
    commands = [*SECTIONS[PREPARATION], *SECTIONS[name]]
    if name != USERS_OF_SASL and "memcached -S" in SECTIONS[name][0]:
        commands.insert(-1, SECTIONS[USERS_OF_SASL][0].partition("SASL_CONF_PATH")[0])
    script = directory / "script"
    script.write_text("set -em\n" + moved("".join(commands), directory))
    own = {"PATH": f"{programs(directory)}:{os.environ['PATH']}:/usr/sbin", "PYTHONPATH": str(ROOT)}
    own["MCPROXY_CONFIG"] = moved("/etc/mcproxy/mcproxy.yaml", directory)
    (directory / "output").touch()
    given_to_nobody(directory)
    start = ["sh", "-c", 'ip link set lo up && exec "$@"', "sh", *NOBODY, "bash", str(script)]
    inside = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", *start]
    with (directory / "output").open("w+") as output:
        environment = {**os.environ, **own}
        with subprocess.Popen(
            inside, cwd=directory, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process:
            try:
                status = process.wait(timeout=60)
            finally:
                process.kill()  # and with it all that is inside
        told = (directory / "output").read_text()
    assert status == 0, told
    tried = SECTIONS[name][0].count("\ntry ") + SECTIONS[name][0].count("memccat")
    assert re.findall("^hello$", told, re.MULTILINE) == ["hello"] * tried, told
    refused = SECTIONS[name][0].count("\ntry ")
    assert re.findall("^(?:not )?refused.*$", told, re.MULTILINE) == ["refused"] * refused, told
