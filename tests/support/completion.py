"""What real shells offer behind a command line, with the files of deploy/completion."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

COMPLETION = Path(__file__).parents[2] / "deploy" / "completion"

# An interactive zsh in a terminal of its own: completion works nowhere else. What its functions offer is written down
# in place of being shown. A line is typed by `print -z` and completed by a widget.
_ZSH = r"""
zmodload zsh/zpty || exit 2
zpty shell zsh -f -i
zpty -w shell 'PROMPT= RPROMPT= PS2='
zpty -w shell 'fpath=($COMPLETION $fpath); autoload -Uz compinit; compinit -u -D'
zpty -w shell 'compadd() {
  local -a offered options
  [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]] && { builtin compadd "$@"; return $? }
  builtin compadd -A offered "$@"
  print -rl -- $offered >>$OFFERED
  builtin compadd "$@"
}'
zpty -w shell 'offer() { LBUFFER=$LINE_TO_COMPLETE; zle complete-word; : >$DONE; BUFFER=exit; zle accept-line }'
zpty -w shell 'zle -N offer; bindkey "^T" offer; : >$READY'
zpty -r -m shell seen '*' >/dev/null 2>&1
integer tries
for (( tries = 0; tries < 500; tries++ )); do [[ -e $READY ]] && break; sleep 0.01; zpty -rt shell seen; done
zpty -w -n shell $'\x14'
for (( tries = 0; tries < 500; tries++ )); do [[ -e $DONE ]] && break; sleep 0.01; zpty -rt shell seen; done
zpty -d shell
[[ -e $DONE ]]
"""


def _run(command: list[str], directory: Path, **environment: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=directory,
        env={"PATH": path, "HOME": str(directory), "LANG": "C.UTF-8", "TERM": "dumb", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def offered_by_bash(line: str, directory: Path) -> list[str]:
    """What the last word of `line`, which a blank may end, can become. File names are relative to `directory`."""
    words = [*shlex.split(line), *([""] if line.endswith(" ") else [])]
    script = f"""
        source {shlex.quote(str(COMPLETION / "mcproxy.bash"))}
        COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}
        _shtab_mcproxy
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return _run(["bash", "--norc", "--noprofile", "-c", script], directory).splitlines()


def offered_by_fish(line: str, directory: Path) -> list[str]:
    """The same."""
    script = f"source {shlex.quote(str(COMPLETION / 'mcproxy.fish'))}; complete -C {shlex.quote(line)}"
    out = _run(["fish", "--no-config", "-c", script], directory)
    return [offer.partition("\t")[0] for offer in out.splitlines()]


def offered_by_zsh(line: str, directory: Path) -> list[str]:
    """The same, for which a terminal is made. What zsh has quoted is given without the quotes."""
    offered, ready, done = (directory / f".zsh-{name}" for name in ("offered", "ready", "done"))
    offered.touch()
    names = {"OFFERED": str(offered), "READY": str(ready), "DONE": str(done)}
    _run(["zsh", "-f", "-c", _ZSH], directory, LINE_TO_COMPLETE=line, COMPLETION=str(COMPLETION), **names)
    found = [" ".join(shlex.split(offer)) for offer in offered.read_text().splitlines()]
    for path in (offered, ready, done):
        path.unlink(missing_ok=True)
    return found


SHELLS = {"bash": offered_by_bash, "zsh": offered_by_zsh, "fish": offered_by_fish}
