#!/usr/bin/env python3
"""Writes the manual pages beside this file: mcproxy.1 of mcproxy.1.md and the program's parser, mcproxy.yaml.5 of
docs/configuration.md; pandoc makes them. scripts/generate-command-line runs this where it has what it needs.

With --check it writes nothing and ends with status 1 if a file is not what would be written.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pypandoc

import mcproxy
from mcproxy.cli.main import make_parser

DIRECTORY = Path(__file__).parent
CONFIGURATION = DIRECTORY.parents[1] / "docs" / "configuration.md"
NAME = """\
# NAME

mcproxy.yaml - configuration of mcproxy(1)

# DESCRIPTION
"""
SEE_ALSO = """
# SEE ALSO

mcproxy(1)
"""
# What pandoc's Markdown takes for markup. Its "smart" is off: two hyphens are two hyphens.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>#~^$|@'\"])")


def pages() -> dict[str, str]:
    """File name to content."""
    commands = "\n".join(_command(parser) for parser in _leaves(make_parser()))
    about_commands = (DIRECTORY / "mcproxy.1.md").read_text().replace("{commands}", commands)
    # Without its title; sections one level up.
    sections = CONFIGURATION.read_text().partition("\n")[2].replace("\n## ", "\n# ").replace("\n### ", "\n## ")
    return {
        "mcproxy.1": _page("mcproxy", "1", about_commands, "markdown-smart"),
        "mcproxy.yaml.5": _page("mcproxy.yaml", "5", NAME + sections + SEE_ALSO, "gfm"),
    }


def _page(title: str, section: str, text: str, form: str) -> str:
    header = {
        "title": title.upper(),
        "section": section,
        "header": "mcproxy",
        "footer": f"mcproxy {mcproxy.__version__}",
    }
    # Words that a reader may search for or paste are neither cut in two nor spread.
    header |= {"adjusting": "l", "hyphenate": "false"}
    variables = [word for name, value in header.items() for word in ("-V", f"{name}={value}")]
    options = ["--standalone", f"--lua-filter={DIRECTORY / 'for_man.lua'}", *variables]
    page: str = pypandoc.convert_text(text, "man", format=form, extra_args=options)
    return page


def _leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The commands that do something: `user add`, and not `user`."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield parser
    for action in below:
        for command in action.choices.values():
            yield from _leaves(command)


def _command(parser: argparse.ArgumentParser) -> str:
    """One command as Markdown: how it is called, what it does, its options."""
    actions = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    # Positional arguments come behind the options.
    actions.sort(key=lambda action: not action.option_strings)
    call = " ".join([f"**{parser.prog}**", *map(_in_call, actions)])
    name = parser.prog.partition(" ")[2]
    lines = [f"## {name}", "", call, "", _plain(parser.description or ""), ""]
    for action in actions:
        if action.help:
            lines += [_invocation(action), f": {_plain(action.help)}", ""]
    return "\n".join(lines)


def _invocation(action: argparse.Action) -> str:
    """An option with its value, or an argument."""
    value = f"*{_plain(str(action.metavar or action.dest.upper()))}*"
    if not action.option_strings:
        return value
    options = ", ".join(f"**{option}**" for option in action.option_strings)
    return options if action.nargs == 0 else f"{options} {value}"


def _in_call(action: argparse.Action) -> str:
    text = _invocation(action)
    if not action.option_strings:
        return f"{text}..." if action.nargs == "+" else text
    return text if action.required else rf"\[{text}\]"


def _plain(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)


def main() -> int:
    wanted = pages()
    if sys.argv[1:] == ["--check"]:
        found = {path.name: path.read_text() for path in DIRECTORY.iterdir() if path.name in wanted}
        return 0 if found == wanted else 1
    for name, content in wanted.items():
        (DIRECTORY / name).write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
