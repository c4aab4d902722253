"""What the image is built from: pinned, hashed, in step with pyproject.toml and with what docs/containers.md lists."""

import importlib.metadata
import json
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.image import ROOT, USER, debian_packages, pinned

DOCUMENTATION = (ROOT / "docs/containers.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def steps() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their arguments, continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def of(instruction: str) -> list[str]:
    return [rest for word, rest in steps() if word == instruction]


def last_stage() -> list[tuple[str, str]]:
    begin = max(index for index, (word, _) in enumerate(steps()) if word == "FROM")
    return steps()[begin:]


def wanted(file: str) -> list[Requirement]:
    listed = PROJECT["project"]["dependencies"] if file == "run.txt" else PROJECT["dependency-groups"]["compile"]
    return [Requirement(line) for line in listed]


@pytest.mark.parametrize("file", ["run.txt", "build.txt"])
def test_everything_is_pinned_with_hashes(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text()
    entries = re.split(r"\n(?=[a-z0-9])", "\n".join(line for line in text.splitlines() if not line.startswith("#")))
    assert len(entries) > 5
    for entry in entries:
        assert re.match(r"[a-z0-9-]+==[0-9][^ ]* ", entry), entry
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", entry), entry
    # Where they come from is for pip's own settings to say.
    assert "index" not in text.replace("annotated", "")
    assert "://" not in text


@pytest.mark.parametrize("file", ["run.txt", "build.txt"])
def test_what_pyproject_asks_for_is_there(file: str) -> None:
    """If this fails: scripts/refresh-requirements --keep."""
    versions = pinned(ROOT / "requirements" / file)
    for requirement in wanted(file):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement} is not in requirements/{file}"
        assert requirement.specifier.contains(version), f"{requirement}, and requirements/{file} has {version}"


def test_nothing_that_is_needed_in_turn_is_missing_and_nothing_is_too_much() -> None:
    """By what the installed distributions say of themselves, whose versions may be a little different."""
    versions = pinned(ROOT / "requirements/run.txt")
    needed = [canonicalize_name(requirement.name) for requirement in wanted("run.txt")]
    for name in needed:
        for line in importlib.metadata.requires(name) or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                found = canonicalize_name(requirement.name)
                if found not in needed:
                    needed.append(found)
    assert set(needed) == set(versions)


def test_stages_have_a_base_that_can_be_pinned_by_digest() -> None:
    arguments = dict(line.split("=", 1) for line in of("ARG") if "=" in line)
    assert re.fullmatch(r"docker\.io/library/debian:[a-z]+-slim", arguments["BASE"])
    assert [line.split()[0] for line in of("FROM")] == ["${BASE}", "${BASE}", "scratch"]
    assert "--build-arg BASE=" in DOCUMENTATION


def test_pip_takes_nothing_without_a_hash_and_nothing_but_wheels() -> None:
    uses = re.findall(r"bin/pip [^&\n]+", "\n".join(of("RUN")))
    assert len(uses) == 4
    for use in uses:
        assert "--no-deps" in use
        hashed = "--require-hashes" in use and "--only-binary :all:" in use
        assert hashed or "--no-index" in use, use
    assert of("ADD") == []
    assert not any("curl" in line or "wget" in line for line in of("RUN"))


def test_the_last_stage_runs_the_program_alone() -> None:
    stage = last_stage()
    found = dict(stage)
    assert not [rest for word, rest in stage if word == "RUN"]
    assert found["USER"] == f"{USER}:{USER}"
    assert json.loads(found["ENTRYPOINT"]) == ["/opt/mcproxy/bin/mcproxy"]
    assert json.loads(found["CMD"]) == ["run"]
    assert found["STOPSIGNAL"] == "SIGTERM"
    options, _, command = found["HEALTHCHECK"].partition(" CMD ")
    assert json.loads(command) == ["/opt/mcproxy/bin/mcproxy", "health"]
    patience = re.search(r"--timeout=(\d+)s", options)
    assert patience is not None
    # So that it says itself what is wrong, before it is ended: it waits for 5 seconds.
    assert int(patience[1]) > 5


def test_copied_is_what_the_build_may_see() -> None:
    seen = [
        line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    for line in of("COPY"):
        if line.startswith("--from="):
            continue
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
            assert any(source == top or source.startswith(f"{top}/") for top in seen), f"{source} is ignored"
    assert {"*", "**/__pycache__"} <= set((ROOT / ".dockerignore").read_text().splitlines())


def listed(heading: str) -> set[str]:
    """The first column of the table under a heading of docs/containers.md."""
    section = DOCUMENTATION.split(f"### {heading}\n", 1)[1].split("\n#", 1)[0]
    return {
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall("`([^`]+)`", row)
    }


def test_the_documentation_lists_what_is_in_it() -> None:
    assert listed("Debian packages") == debian_packages()
    assert listed("Python packages") == set(pinned(ROOT / "requirements/run.txt")) | {"mcproxy-guard"}
