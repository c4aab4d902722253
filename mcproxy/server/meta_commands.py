"""Whether an upstream that is spoken to in text knows the meta commands as they go up.

The length of an `ms` is a word of its own since memcached 1.6.10 and was a flag before. A memcached that is older, or
has no meta commands at all, answers an error and runs the value as commands, whatever the role of who wrote it.
"""

import re
from typing import Final

from mcproxy.relay.obstacle import NO_META_COMMANDS, STRANGE, TOO_OLD, NotOpened

OLDEST: Final = (1, 6, 10)
QUESTION: Final = b"mn\r\n"
"""Goes behind `version`: others than memcached, who have version numbers of their own, don't know it."""
_ANSWER: Final = b"MN\r\n"
# Behind the numbers anything may stand, such as -beta1.
_NUMBERS: Final = re.compile(rb"VERSION ([0-9]{1,6})\.([0-9]{1,6})\.([0-9]{1,6})(?![0-9])").match
_WHY: Final = "it would run the values of meta commands as commands"


def check_version(line: bytes, quoting: bool) -> None:
    """Raises NotOpened. `line` is the answer to `version`; its numbers are told if `quoting`."""
    match = _NUMBERS(line)
    if match is None:
        raise NotOpened(NO_META_COMMANDS, f"its version has no numbers, as memcached's has: perhaps {_WHY}")
    version = tuple(map(int, match.groups()))
    if version < OLDEST:
        which = f"memcached {'.'.join(map(str, version))}" if quoting else "memcached"
        oldest = ".".join(map(str, OLDEST))
        raise NotOpened(TOO_OLD, f"{which} is too old: {_WHY}; {oldest} is the oldest that can do, 1.6.18 is tested")


def answered(data: bytes) -> bool:
    """Whether all of the answer to QUESTION has come, and nothing else. Raises NotOpened."""
    if data != _ANSWER and data.startswith(_ANSWER):
        raise NotOpened(STRANGE, "it says more than it was asked")
    if not _ANSWER.startswith(data):
        raise NotOpened(NO_META_COMMANDS, f"it does not know memcached's meta commands: {_WHY}")
    return data == _ANSWER
