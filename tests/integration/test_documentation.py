"""The documentation's links, commands, keys and names: nothing leads nowhere, and nothing is named that isn't there."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from mcproxy.cli.main import make_parser
from mcproxy.config.load import loads
from tests.support.pages import ROOT, Block, anchors, blocks, code, links, pages, prose, text

PAGES = pages()
BLOCKS = [block for page in PAGES for block in blocks(page)]
INDEX = Path("docs/README.md")
CONFIGURATION = Path("docs/configuration.md")
METRICS = Path("docs/metrics.md")
SHELL = (["sh"], ["bash"])
MADE = {"bench/build/"}
"""Not there until a program that a page speaks of has made it."""

each_page = pytest.mark.parametrize("page", PAGES, ids=str)


def target_of(page: Path, link: str) -> tuple[Path, str]:
    """The file or directory that a relative link names, and the anchor in it."""
    path, _, anchor = link.partition("#")
    found = (ROOT / page.parent / path).resolve() if path else ROOT / page
    return found.relative_to(ROOT), anchor


def relative_links(page: Path) -> list[str]:
    return [link for link in links(page) if not re.match(r"[a-z][a-z0-9+.-]*:", link)]


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    for link in relative_links(page):
        target, anchor = target_of(page, link)
        assert (ROOT / target).exists(), f"{page}: {link}: there is no {target}"
        if anchor:
            assert target.suffix == ".md", f"{page}: {link}"
            assert anchor in anchors(target), f"{page}: {link}: {target} has no such heading"


def test_every_page_is_found_from_the_index() -> None:
    seen, waiting = {INDEX}, [INDEX]
    while waiting:
        page = waiting.pop()
        for link in relative_links(page):
            target, _ = target_of(page, link)
            if target.suffix == ".md" and target not in seen:
                seen.add(target)
                waiting.append(target)
    assert [page for page in PAGES if page.parts[0] == "docs" and page not in seen] == []
    directly = {target_of(INDEX, link)[0] for link in relative_links(INDEX)}
    assert {page for page in PAGES if page.parent == INDEX.parent and page != INDEX} <= directly


def test_pictures_of_pages_are_used() -> None:
    named = {target_of(page, link)[0] for page in PAGES for link in relative_links(page)}
    pictures = {path.relative_to(ROOT) for kind in ("png", "svg") for path in (ROOT / "docs").rglob(f"*.{kind}")}
    assert pictures - named == set()


@each_page
def test_blocks_say_what_they_are(page: Path) -> None:
    assert [str(block) for block in blocks(page) if not block.language] == []
    assert text(page).count("```") == 2 * len(list(blocks(page))), "a fence that isn't closed"


PARSER = make_parser()
OURS = re.compile(
    r"(?:(?:sudo(?: -u \w+)?|env|exec|until|while|if|do|then|!|timeout \w+|time|\w+=\S*)\s+)*"
    r"(?:[\w./]*/)?mcproxy(?:\s+(?P<arguments>.*))?"
)
IN_A_CONTAINER = re.compile(
    r"(?:docker|podman|kubectl) .*?\bmcproxy +(?P<arguments>(?:run|check|doctor|health|top|user|acl)\b.*)"
)


def commands_in(line: str) -> Iterator[list[str]]:
    """The arguments of each mcproxy that a line of shell runs."""
    for part in re.split(r"[|;&()]+", re.sub(r"\s#.*|[<>]+\s*\S+", "", line)):
        found = OURS.fullmatch(part.strip()) or IN_A_CONTAINER.fullmatch(part.strip())
        if found is not None:
            yield shlex.split(found["arguments"] or "")


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def objection(words: list[str]) -> str | None:
    """What is wrong with the arguments of an mcproxy: only names are looked at, not what they need."""
    parser = PARSER
    for word in words:
        if word.startswith("-") and word != "-":
            if word.partition("=")[0] not in parser._option_string_actions:
                return f"{parser.prog} has no option {word}"
        elif choices := subparsers(parser):
            names = word.split("|")
            if unknown := [name for name in names if name not in choices]:
                return f"{parser.prog} has no command {unknown[0]}"
            parser = choices[names[0]]
    return None


def test_what_is_wrong_with_a_command_is_seen() -> None:
    assert objection(["user", "add", "sammy", "--generate"]) is None
    assert objection(["users", "add"]) == "mcproxy has no command users"
    assert objection(["user", "passwd", "--keep"]) == "mcproxy user passwd has no option --keep"
    line = "sudo -u mcproxy /opt/mcproxy/bin/mcproxy check && docker compose exec mcproxy mcproxy health --ready  # so"
    assert list(commands_in(line)) == [["check"], ["health", "--ready"]]
    assert list(commands_in("systemctl restart mcproxy; journalctl -u mcproxy -o cat")) == []
    assert list(commands_in("until sudo -u mcproxy mcproxy health --ready; do sleep 1; done")) == [
        ["health", "--ready"]
    ]
    assert list(commands_in("sudo install -m 640 -g mcproxy file /etc/mcproxy/file")) == []


@each_page
def test_commands_of_mcproxy_are_there(page: Path) -> None:
    lines = [line for block in blocks(page) if block.language.split()[:1] in SHELL for line in block.text.splitlines()]
    lines += [words for words in code(page) if words.startswith("mcproxy ")]
    for line in lines:
        for words in commands_in(line):
            # In prose and usage, what stands in capitals, brackets or dots is for the reader to fill in.
            names = [word for word in words if not re.fullmatch(r"[A-Z\[\].]+|\.\.\.", word)]
            assert (why := objection(names)) is None, f"{page}: {line}: {why}"


KEYS = set(re.findall(r"^### `([^`]+)`", text(CONFIGURATION), re.MULTILINE))
TOP = {key.partition(".")[0].partition("[")[0] for key in KEYS}
KEY = re.compile(rf"(?:{'|'.join(sorted(TOP))})(?:\.[A-Za-z_]+)+|grants\[\](?:\.[a-z]+)+")


def known_key(named: str) -> bool:
    """`listeners.private.tls.key` is one as `listeners.NAME.tls.key` is, and an upstream of several has one's keys."""
    first, _, rest = named.partition(".")
    if first == "upstreams":
        return f"upstream.{rest.partition('.')[2]}" in KEYS
    if first in ("listeners", "roles"):
        return f"{first}.NAME.{rest.partition('.')[2]}" in KEYS or f"{first}.NAME.{rest}" in KEYS
    return named in KEYS


@each_page
def test_configuration_keys_are_there(page: Path) -> None:
    named = {words.partition(":")[0] for words in code(page)}
    unknown = {key for key in named if KEY.fullmatch(key) and not known_key(key)}
    # Files and modules of these names.
    assert {key for key in unknown if not key.endswith((".py", ".yaml"))} == set()


METRIC = re.compile(r"\b(?:mcproxy|memcached)_[a-z0-9_]*[a-z0-9]\b(?![*{(.])")
KNOWN_METRICS = set(re.findall(r"^\| `([a-z0-9_]+)` \|", text(METRICS), re.MULTILINE))
NOT_METRICS = {"mcproxy_guard", "memcached_exporter"}


@each_page
def test_metrics_are_there(page: Path) -> None:
    named = {
        name
        for words in [*code(page), *(block.text for block in blocks(page) if block.language in ("sh", "promql"))]
        for name in METRIC.findall(words)
    }
    for name in named - NOT_METRICS:
        assert re.sub(r"_(bucket|count|sum)$", "", name) in KNOWN_METRICS or name in KNOWN_METRICS, f"{page}: {name}"


WHOLE = [
    block
    for block in BLOCKS
    if block.language.split()[:1] == ["yaml"]
    and re.search(r"^listeners:", block.text, re.MULTILINE)
    and re.search(r"^upstreams?:", block.text, re.MULTILINE)
]


@pytest.mark.parametrize("block", WHOLE, ids=str)
def test_whole_configurations_are_right(block: Block) -> None:
    settings = loads(block.text, Path("/etc/mcproxy/mcproxy.yaml"), check_machine=False)
    assert settings.listeners


def test_there_are_whole_configurations() -> None:
    assert len(WHOLE) >= 3


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language.split()[:1] == ["yaml"]], ids=str)
def test_yaml_can_be_read(block: Block) -> None:
    assert list(yaml.safe_load_all(block.text))


@each_page
def test_files_of_the_project_are_there(page: Path) -> None:
    """Paths in backticks, such as `deploy/systemd`."""
    tops = "bench|config|deploy|docs|fuzz|mcproxy|requirements|scripts|tests"
    for words in code(page):
        path = words.split()[0] if words.split() else ""
        if re.fullmatch(rf"(?:{tops})/[\w./-]+", path) and path not in MADE:
            assert (ROOT / path).exists() or (ROOT / "mcproxy" / path).exists(), f"{page}: {path}"


def test_the_prose_is_found_without_blocks() -> None:
    assert "```" not in prose(INDEX)
