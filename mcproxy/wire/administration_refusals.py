"""Why a command without a key cannot go upstream. The words are those of memcached 1.6.18 for the same mistake.

Who may not use a command is told so, whatever else is wrong with it.
"""

from collections.abc import Callable
from typing import Final

from mcproxy.wire import grammar
from mcproxy.wire.administration import COMMANDS, Command
from mcproxy.wire.error_lines import BAD_EXPTIME, BAD_FORMAT, DENIED, ERROR
from mcproxy.wire.outcome import Refusal

BAD_COMMAND_LINE: Final = b"CLIENT_ERROR bad command line\r\n"
BAD_CLASSES: Final = b"BADCLASS invalid class id\r\n"
BAD_CLASS_PAIR: Final = b"BADCLASS invalid src or dst class id\r\n"
BAD_SHUTDOWN: Final = b"CLIENT_ERROR invalid shutdown mode\r\n"
BAD_SLAB: Final = b"CLIENT_ERROR Illegal slab id\r\n"
DELAYED_FLUSH: Final = b"CLIENT_ERROR flush_all with a delay is not supported\r\n"
DETAIL_USAGE: Final = b"CLIENT_ERROR usage: stats detail on|off|dump\r\n"
UNKNOWN: Final = Refusal(ERROR, "unknown command")

_BY_WORDS: Final = {command.words: command for command in COMMANDS}
# Commands that take the last word for a flag, even where it is wrong: they answer nothing then.
_READS_NOREPLY: Final = (b"flush_all", b"verbosity", b"cache_memlimit", b"lru", b"slabs automove")
# What the class is where the words after the verb are wrong.
_CLASS_OF_VERB: Final = {b"lru": "admin", b"slabs": "admin", b"lru_crawler": "admin", b"stats detail": "admin"}


def refuse(tokens: list[bytes], allows: Callable[[str], bool]) -> Refusal:
    """What is wrong with a line whose first word is one of administration.VERBS."""
    two = b" ".join(tokens[:2])
    command = _BY_WORDS.get(b" ".join(tokens[:3])) or _BY_WORDS.get(two) or _BY_WORDS.get(tokens[0])
    if tokens[0] == b"stats" and len(tokens) > 1 and (command is None or command.words == b"stats"):
        command = None
        if two != b"stats detail":
            return UNKNOWN
    command_class = command.command_class if command else _CLASS_OF_VERB.get(two) or _CLASS_OF_VERB.get(tokens[0])
    if command_class is None or two == b"lru_crawler mgdump":
        return UNKNOWN
    silent = tokens[-1] == b"noreply" and (tokens[0] in _READS_NOREPLY or two in _READS_NOREPLY)
    if not allows(command_class):
        return Refusal(b"" if silent else DENIED, "denied", denied=command_class)
    words = tokens[:-1] if silent else tokens
    return Refusal(b"" if silent else _mistake(command, two, words), "malformed")


def _mistake(command: Command | None, two: bytes, words: list[bytes]) -> bytes:
    """The error line for the words of a command that may be used."""
    if command is None:
        return DETAIL_USAGE if two == b"stats detail" else ERROR
    arguments = words[command.words.count(b" ") + 1 :]
    one = arguments[0] if len(arguments) == 1 else None
    match command.words:
        case b"flush_all" if one:
            return DELAYED_FLUSH if grammar.is_exptime(grammar.plain_exptime(one)) else BAD_EXPTIME
        case b"verbosity" | b"lru_crawler tocrawl" | b"lru_crawler sleep" if one:
            return BAD_FORMAT
        case b"slabs automove" if one and one != b"ratio" and grammar.is_uint32(one) is None:
            return BAD_FORMAT
        case b"lru_crawler crawl" | b"lru_crawler metadump" if one:
            return BAD_CLASSES
        case b"slabs reassign" if len(arguments) == 2:
            numbers = all(grammar.is_uint32(argument.removeprefix(b"-")) for argument in arguments)
            return BAD_CLASS_PAIR if numbers else BAD_FORMAT
        case b"stats cachedump" if len(arguments) < 2:
            return BAD_COMMAND_LINE
        case b"stats cachedump" if len(arguments) == 2:
            return BAD_SLAB if all(map(grammar.is_uint32, arguments)) else BAD_FORMAT
        case b"shutdown":
            return BAD_SHUTDOWN
        case _:
            return ERROR
