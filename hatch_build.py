"""With MCPROXY_COMPILE=1 the wheel holds the inner loop compiled by mypyc, beside its sources.

The same typed sources run uncompiled. What is compiled is what every request passes through: the grammar and the relay.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
COMPILED = ("mcproxy/wire", "mcproxy/relay")
# Is only waited in: trio's own tasks.
NOT_COMPILED = {"__init__.py", "news.py", "opening.py", "pool.py"}
_SETUP = """
from setuptools import setup
from mypyc.build import mypycify
setup(name="mcproxy", packages=[], ext_modules=mypycify({arguments!r}, opt_level="3", debug_level="0"))
"""


def sources(directory: Path) -> list[str]:
    """What is to be compiled, relative to `directory`, the one that mcproxy/ is in."""
    return [
        str(path.relative_to(directory))
        for part in COMPILED
        for path in sorted((directory / part).glob("*.py"))
        if path.name not in NOT_COMPILED
    ]


def compile_in(directory: Path) -> list[str]:
    """Put the compiled modules beside their sources; returns their paths within. Raises SystemExit with the compiler's
    last words."""
    with tempfile.TemporaryDirectory() as temporary:
        setup = Path(temporary) / "setup.py"
        # scripts/check looks at the types with all that they need; here only what is compiled matters.
        arguments = ["--config-file=", "--ignore-missing-imports", *sources(directory)]
        setup.write_text(_SETUP.format(arguments=arguments))
        # mypy's cache and the C sources belong nowhere else.
        done = subprocess.run(
            [sys.executable, str(setup), "build_ext", "--inplace", "--build-temp", temporary],
            cwd=directory,
            # What this Python finds: where pip builds in an environment of its own, nothing else tells where mypy is.
            env=os.environ | {"MYPY_CACHE_DIR": temporary, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            capture_output=True,
            text=True,
        )
        shutil.rmtree(directory / "build", ignore_errors=True)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise SystemExit(f"compiling failed (it needs a C compiler, Python's headers, mypy and setuptools):\n{last}")
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*.so"))


class Compile(BuildHookInterface):
    """hatchling's hook. Without MCPROXY_COMPILE=1 the wheel is plain Python."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """What compiling needs beside hatchling."""
        return ["mypy>=1.13", "setuptools>=77"] if self._compiles() else []

    def _compiles(self) -> bool:
        return self.target_name == "wheel" and os.environ.get("MCPROXY_COMPILE") == "1"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not self._compiles() or version == "editable":
            return
        self._copy = tempfile.TemporaryDirectory()
        copy = Path(self._copy.name)
        shutil.copytree(ROOT / "mcproxy", copy / "mcproxy", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True
        build_data["force_include"] |= {str(copy / path): path for path in compile_in(copy)}

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if hasattr(self, "_copy"):
            self._copy.cleanup()
