"""The scripts on machines that lack something: a clear message, nothing half done. CI runs them where all is well."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOLS = ("bash", "basename", "cat", "dirname", "env", "grep", "head", "id", "sed", "sha256sum")


@pytest.fixture
def machine(tmp_path):
    """A checkout and a PATH with nothing but the simplest tools; `run` runs a script of it there."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for tool in TOOLS:
        (programs / tool).symlink_to(shutil.which(tool))
    shutil.copytree(ROOT / "scripts", tmp_path / "checkout" / "scripts")
    shutil.copy(ROOT / "pyproject.toml", tmp_path / "checkout")
    return Machine(tmp_path / "checkout", programs)


class Machine:
    def __init__(self, checkout, programs):
        self.checkout = checkout
        self.programs = programs

    def program(self, name, script):
        path = self.programs / name
        path.write_text(f"#!{self.programs}/bash\n{script}\n")
        path.chmod(0o755)

    def run(self, script, **environment):
        done = subprocess.run(
            [self.checkout / "scripts" / script],
            env={"PATH": str(self.programs), "HOME": str(self.checkout), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout == ""
        return done.returncode, done.stderr

    def made(self):
        return sorted(path.name for path in self.checkout.iterdir())


@pytest.mark.parametrize("script", ["run", "test", "check"])
def test_an_old_python_is_named_with_what_would_do(machine, script):
    machine.program("python3", "echo 3.9 0 /usr/bin/python3.9")
    status, errors = machine.run(script)
    assert status == 1
    assert (
        errors
        == f"{script}: python3 is Python 3.9; mcproxy needs 3.11 or newer: name one with PYTHON=/path/to/python3\n"
    )
    assert machine.made() == ["pyproject.toml", "scripts"]


@pytest.mark.parametrize("script", ["run", "test", "check"])
def test_without_python_it_says_so(machine, script):
    status, errors = machine.run(script, PYTHON="python3.99")
    assert status == 1
    assert errors.endswith("python3.99 doesn't run; name a Python 3.11 or newer with PYTHON=/path/to/python3\n")


def test_without_memcached_and_apt_it_names_what_to_install(machine):
    machine.program("python3", "echo 3.11 1 /usr/bin/python3")
    status, errors = machine.run("run")
    assert status == 1
    assert errors == "run: memcached was not found, and this machine has no apt-get; please install memcached\n"
    assert machine.made() == ["pyproject.toml", "scripts"]


def test_without_root_and_sudo_it_prints_the_command(machine):
    machine.program("python3", "echo 3.11 1 /usr/bin/python3")
    machine.program("memcached", "exit 0")
    machine.program("dpkg-query", "exit 1")
    machine.program("apt-get", "exit 99")
    (machine.programs / "id").unlink()
    machine.program("id", "echo 1000")
    status, errors = machine.run("run")
    assert status == 1
    assert "run: this needs root, and there is no sudo; as root, run: apt-get update" in errors


def test_sudo_is_used_after_saying_what_for_and_a_failure_ends_it(machine):
    machine.program("python3", "echo 3.11 1 /usr/bin/python3")
    machine.program("memcached", "exit 0")
    machine.program("dpkg-query", "exit 1")
    machine.program("apt-get", "exit 99")
    machine.program("sudo", f'echo "sudo $*" >>{machine.checkout}/said; exec "$@"')
    (machine.programs / "id").unlink()
    machine.program("id", "echo 1000")
    status, errors = machine.run("run")
    assert status == 99
    lines = errors.splitlines()
    assert lines[0] == "Updating the list of Debian's packages (apt-get update)."
    assert "Installing, without recommended packages: libmemcached-tools" in lines
    install = (machine.checkout / "said").read_text().splitlines()[1]
    assert "--no-install-recommends" in install
    assert install.endswith(" libmemcached-tools")


def test_nothing_is_installed_where_nothing_is_missing(machine):
    """And the demonstration gets the arguments as they are."""
    base = os.fspath(machine.programs / "python3")
    machine.program("python3", f"case $1 in -VV) echo Python;; *) echo 3.11 1 {base};; esac")
    for name in ("memcached", "memcstat"):
        machine.program(name, "exit 0")
    machine.program("apt-get", "exit 99")
    machine.program("dpkg-query", "echo installed")
    environment = machine.checkout / ".venv"
    (environment / "bin").mkdir(parents=True)
    started = environment / "bin" / "mcproxy"
    started.write_text(f'#!{machine.programs}/bash\nprintf "<%s>" "$@" >&2\n')
    started.chmod(0o755)
    key = subprocess.run(
        [
            "bash",
            "-c",
            '{ echo "$1" "$2"; echo Python; cat "$2/pyproject.toml"; } | sha256sum',
            "-",
            base,
            machine.checkout,
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (environment / ".made-for-use").write_text(key)
    assert machine.run("run") == (0, "<demo>")
