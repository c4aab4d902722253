"""mcproxy's two forms: plain Python as it is in the checkout, and a copy whose inner loop is compiled.

A copy is made once for each state of the sources and kept. mypy looks into no directory whose name begins with a dot.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bench.peers import ROOT
from bench.processes import BenchError
from bench.steps.cuts import PASSTHROUGH, copy_without

BUILD = Path(__file__).parent / "build"
KEPT = 8  # copies: the product, and the two of the safety suite, of now and of before
INNER_LOOP = "import mcproxy.relay.poller as poller, mcproxy.wire.text as text; print(poller.__file__, text.__file__)"


@dataclass(frozen=True)
class Form:
    """`home` is the directory that has mcproxy, `name` is for the reader."""

    name: str
    home: Path

    @property
    def is_compiled(self) -> bool:
        return self.name == COMPILED


COMPILED = "compiled with mypyc"
PLAIN_PYTHON = Form("plain Python", ROOT)


def mcproxy_python() -> str:
    """The Python that has mcproxy's dependencies: this one, or that of the checkout's virtual environment."""
    own = ROOT / ".venv/bin/python"
    return (
        sys.executable
        if all(find_spec(name) for name in ("trio", "scramp", "structlog")) or not own.exists()
        else str(own)
    )


def compiled(root: Path = ROOT) -> Form:
    """The compiled form of a checkout. Where it cannot be made it is plain Python, and standard error says why."""
    script = root / "scripts/compile"
    try:
        if not script.exists():
            raise BenchError("there is no scripts/compile")
        inputs = [script, root / "pyproject.toml", *sorted((root / "mcproxy").rglob("*.py"))]
        return Form(COMPILED, kept(digest_of(inputs), lambda home: run_compiler([str(script), str(home)], root)))
    except BenchError as error:
        print(f"mcproxy is measured as plain Python: {error}", file=sys.stderr)
        return Form(PLAIN_PYTHON.name, root)


def cut_copy(form: Form, directory: Path, names: Sequence[str]) -> Form:
    """mcproxy in this form, less what these cuts are about; a plain one is made in `directory`. Raises BenchError."""
    if not form.is_compiled:
        return Form(form.name, copy_without(directory, names))
    compiler = ROOT / "hatch_build.py"
    program = "import pathlib, sys, hatch_build; hatch_build.compile_in(pathlib.Path(sys.argv[1]))"

    def make(home: Path) -> None:
        run_compiler([mcproxy_python(), "-c", program, str(copy_without(home, names))], ROOT)

    inputs = [compiler, *sorted((ROOT / "mcproxy").rglob("*.py")), *sorted(PASSTHROUGH.parent.glob("*.py"))]
    return Form(COMPILED, kept(digest_of(inputs, *names), make))


def digest_of(files: Sequence[Path], *more: str) -> str:
    """Of the files' contents, of `more`, and of the Python."""
    digest = hashlib.sha256(repr((mcproxy_python(), sys.version, *more)).encode())
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def kept(digest: str, make: Callable[[Path], None]) -> Path:
    """The copy of this digest, which `make` makes if there is none. Raises BenchError if it isn't compiled then."""
    home = BUILD / f".compiled-{digest}"
    if not home.exists():
        print("compiling mcproxy, which takes a minute or two", file=sys.stderr)
        BUILD.mkdir(parents=True, exist_ok=True)
        unfinished = home.with_name(home.name + ".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        make(unfinished)
        must_be_compiled(unfinished)
        unfinished.rename(home)
        for old in sorted(BUILD.glob(".compiled-*"), key=lambda path: path.stat().st_mtime)[:-KEPT]:
            shutil.rmtree(old, ignore_errors=True)
    return home


def run_compiler(command: Sequence[str], root: Path) -> None:
    environment = os.environ | {"PYTHON": mcproxy_python()}
    made = subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment)
    if made.returncode != 0:
        words = (made.stderr or made.stdout).strip().splitlines()
        raise BenchError(f"{Path(command[0]).name} failed: {words[-1] if words else made.returncode}")


def must_be_compiled(home: Path) -> None:
    """Raises BenchError unless the Python that runs mcproxy takes the compiled modules there."""
    asked = subprocess.run([mcproxy_python(), "-c", INNER_LOOP], capture_output=True, text=True, cwd=home)
    found = asked.stdout.split()
    if not found or not all(file.startswith(str(home)) and file.endswith(".so") for file in found):
        raise BenchError(f"nothing compiled for {mcproxy_python()} came of it")
