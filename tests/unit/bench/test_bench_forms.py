"""The compiled form is made once for each state of the sources, and is only called so if Python takes it."""

from pathlib import Path

import pytest

from bench import forms
from bench.forms import compiled


def checkout(directory: Path, script: str) -> Path:
    (directory / "mcproxy").mkdir()
    (directory / "mcproxy/__init__.py").write_text("")
    (directory / "pyproject.toml").write_text("")
    (directory / "scripts").mkdir()
    file = directory / "scripts/compile"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return directory


def test_the_compiled_form_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "BUILD", tmp_path / "build")
    monkeypatch.setattr(forms, "must_be_compiled", lambda home: None)
    root = checkout(tmp_path, 'echo made >> made; mkdir "$1"')
    form = compiled(root)
    assert form.name == "compiled with mypyc"
    assert form.home.is_dir()
    assert compiled(root) == form
    (root / "mcproxy/__init__.py").write_text("changed = True")
    assert compiled(root).home != form.home
    assert (root / "made").read_text() == "made\nmade\n"


@pytest.mark.parametrize(
    ("script", "why"), [("echo no compiler >&2; exit 1", "no compiler"), ('mkdir "$1"', "nothing compiled")]
)
def test_what_cannot_be_compiled_is_measured_as_it_is(
    script: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(forms, "BUILD", tmp_path / "build")
    form = compiled(checkout(tmp_path, script))
    assert (form.name, form.home) == ("plain Python", tmp_path)
    assert why in capsys.readouterr().err
