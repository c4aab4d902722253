#!/usr/bin/env python3
"""Writes the completion of the command line for bash, zsh and fish beside this file: shtab makes it of the program's
parser. scripts/generate-command-line runs this where it has what it needs.

With --check it writes nothing and ends with status 1 if a file is not what would be written.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import shtab

from mcproxy.cli.arguments import file_name
from mcproxy.cli.main import make_parser

DIRECTORY = Path(__file__).parent
FILES = {"bash": "mcproxy.bash", "zsh": "_mcproxy", "fish": "mcproxy.fish"}
"""Each where its shell looks for it: under these names, but for bash, which wants no suffix."""

FILE = shtab.FILE | {"bash": "_mcproxy_files"}
NEW_DIRECTORY = shtab.DIRECTORY | {"bash": "_mcproxy_directories"}
USER = {"bash": "_mcproxy_users", "zsh": "_mcproxy_users", "fish": "(_mcproxy_users)"}

BASH = """\
_mcproxy_files() {
  compgen -f -- "$1"
}

_mcproxy_directories() {
  compgen -d -- "$1"
}

# Who is in the users file that this command line is about. Not by compgen -W, which expands what it is given: a name
# may hold what is a command to a shell.
_mcproxy_users() {
  local index name
  local -a where=()
  for ((index = 1; index + 1 < COMP_CWORD; index++)); do
    case ${COMP_WORDS[index]} in
      --config | --users-file) where=("${COMP_WORDS[index]}" "${COMP_WORDS[index + 1]}") ;;
    esac
  done
  while IFS= read -r name; do
    if [[ $name == "$1"* ]]; then
      printf '%q\\n' "$name"
    fi
  done < <(mcproxy user list "${where[@]}" 2>/dev/null | awk 'NR > 1 {print $1}' | sort -u)
}"""

ZSH = """\
# Who is in the users file that this command line is about.
_mcproxy_users() {
  local index
  local -a where names
  for (( index = 1; index + 1 < CURRENT; index++ )); do
    case $words[index] in
      --config|--users-file) where=("$words[index]" "${(Q)words[index+1]}") ;;
    esac
  done
  names=(${(f)"$(mcproxy user list $where 2>/dev/null | awk 'NR > 1 {print $1}' | sort -u)"})
  compadd -a names
}"""

FISH = """\
# Who is in the users file that this command line is about.
function _mcproxy_users
  set -l where
  set -l tokens (commandline -opc)
  for index in (seq (count $tokens))
    if contains -- $tokens[$index] --config --users-file
      set where $tokens[$index..(math $index + 1)]
    end
  end
  mcproxy user list $where 2>/dev/null | awk 'NR > 1 {print $1}' | sort -u
end"""


def scripts() -> dict[str, str]:
    """File name to content."""
    parser = make_parser()
    for command in _commands(parser):
        for action in command._actions:
            _say_what_completes(command.prog, action)
    preambles = {"bash": BASH, "zsh": ZSH, "fish": FISH}
    return {
        name: shtab.complete(parser, shell=shell, preamble=preambles).rstrip("\n") + "\n"
        for shell, name in FILES.items()
    }


def _commands(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parser and all below it; each is described as briefly as its parent's help does."""
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for choice in action._choices_actions:
                command = action.choices[choice.dest]
                command.description = choice.help
                yield from _commands(command)


def _say_what_completes(command: str, action: argparse.Action) -> None:
    is_name = action.dest == "name" and command != "mcproxy user add"
    how = FILE if action.type is file_name else USER if is_name else None
    if action.dest == "directory":
        how = NEW_DIRECTORY
    if how is not None:
        action.complete = how  # where shtab looks for it


def main() -> int:
    wanted = scripts()
    if sys.argv[1:] == ["--check"]:
        found = {path.name: path.read_text() for path in DIRECTORY.iterdir() if path.name in wanted}
        return 0 if found == wanted else 1
    for name, content in wanted.items():
        (DIRECTORY / name).write_text(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
