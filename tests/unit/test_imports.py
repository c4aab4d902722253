"""The import law: which part of the package may know which.

wire, auth and policy are plain Python over bytes and data: that is what lets them be tested byte by byte.
"""

import ast
from pathlib import Path

import pytest

import mcproxy

PACKAGE = Path(mcproxy.__file__).parent
SANS_IO = ("wire", "auth", "policy")
IO_MODULES = {"trio", "socket", "ssl", "select", "selectors", "asyncio", "threading", "signal", "subprocess"}
FORBIDDEN = {
    # A part may know itself and what is not listed here.
    "wire": {"auth", "policy", "relay", "server", "config", "observe", "cli", "demo", "doctor", "workers"},
    "auth": {"wire", "policy", "relay", "server", "config", "observe", "cli", "demo", "doctor"},
    "policy": {"wire", "auth", "relay", "server", "config", "observe", "cli", "demo", "doctor"},
    "files": {"wire", "policy", "relay", "server", "config", "observe", "cli", "demo", "doctor", "workers"},
    "relay": {"auth", "policy", "server", "config", "observe", "cli", "demo", "doctor"},
    "observe": {"server", "cli", "demo", "doctor"},
    "config": {"wire", "relay", "server", "observe", "cli", "demo", "doctor"},
    "server": {"cli", "demo", "doctor", "workers"},
    "workers": {"cli", "demo", "doctor"},
}


def imports(source: str, package: str) -> set[str]:
    """Everything that `source`, a module of `package`, imports, anywhere in it, by full names."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = ".".join(parents[: len(parents) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module) if part)
            found |= {f"{module}.{alias.name}" for alias in node.names} | {module}
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            assert name not in ("__import__", "importlib.import_module"), f"an import out of sight, in {package}"
    return found


def parts_of(names: set[str]) -> set[str]:
    """The parts of this package among them."""
    return {name.split(".")[1] for name in names if name.startswith("mcproxy.")}


def modules_of(part: str) -> list[Path]:
    return sorted((PACKAGE / part).rglob("*.py"))


def imports_of(path: Path) -> set[str]:
    package = ".".join(("mcproxy", *path.relative_to(PACKAGE).parent.parts))
    return imports(path.read_text(), package)


@pytest.mark.parametrize("part", FORBIDDEN)
def test_parts_know_only_what_they_may(part):
    modules = modules_of(part)
    assert len(modules) > 1
    faults = {
        str(path.relative_to(PACKAGE)): sorted(known)
        for path in modules
        if (known := parts_of(imports_of(path)) & FORBIDDEN[part])
    }
    assert not faults


@pytest.mark.parametrize("part", SANS_IO)
def test_these_do_no_input_or_output(part):
    faults = {
        str(path.relative_to(PACKAGE)): sorted(known)
        for path in modules_of(part)
        if (known := {name.split(".")[0] for name in imports_of(path)} & IO_MODULES)
    }
    assert not faults


def test_within_the_relay_only_the_poller_and_what_opens_links_are_asynchronous():
    asynchronous = {
        path.name for path in modules_of("relay") if any(name.split(".")[0] == "trio" for name in imports_of(path))
    }
    assert asynchronous <= {"poller.py", "pool.py", "private_links.py", "opening.py", "news.py"}


def test_an_import_is_found_wherever_it_is():
    source = (
        "import trio\nimport mcproxy.config.load as x\ndef f():\n    from mcproxy.server import serve\n"
        "from . import sibling\nfrom .. import relay\nfrom ..auth.users import y\nfrom mcproxy import cli\n"
        "if TYPE_CHECKING:\n    from mcproxy.demo.run import z\n"
    )
    found = imports(source, "mcproxy.wire")
    assert "trio" in found
    assert parts_of(found) == {"config", "server", "wire", "relay", "auth", "cli", "demo"}


def test_every_part_is_judged_or_on_top():
    parts = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert parts == set(FORBIDDEN) | {"cli", "demo", "doctor"}
