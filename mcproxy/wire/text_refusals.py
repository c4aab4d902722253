"""Why a text command cannot go upstream, in memcached's own words for the same mistake.

These replies are what client libraries already know how to read. A frame whose end is known costs the client one error
and leaves the connection in step; one whose end is not known ends the connection.
"""

from typing import Final

from mcproxy.wire import administration, administration_refusals, grammar
from mcproxy.wire.error_lines import BAD_EXPTIME, BAD_FORMAT, DENIED, ERROR
from mcproxy.wire.meta_rules import VERBS, read_flags
from mcproxy.wire.outcome import Reason, Refusal
from mcproxy.wire.text_rules import KEYED, RETRIEVAL, STORAGE, TextRules

BAD_CHUNK: Final = b"CLIENT_ERROR bad data chunk\r\n"
BAD_DELTA: Final = b"CLIENT_ERROR invalid numeric delta argument\r\n"
DELETE_USAGE: Final = b"CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"
LINE_END: Final = b"CLIENT_ERROR line must end in \\r\\n\r\n"
LINE_TOO_LONG: Final = b"CLIENT_ERROR line too long\r\n"
TOO_LARGE: Final = b"SERVER_ERROR object too large for cache\r\n"
TOO_MANY_TOKENS: Final = b"CLIENT_ERROR too many tokens\r\n"
TOO_MANY_KEYS: Final = b"CLIENT_ERROR too many keys in one request\r\n"


def refuse(tokens: list[bytes], rules: TextRules) -> Refusal:
    """What is wrong with a command line that the rules don't match. `tokens` are its words, at least one."""
    verb = tokens[0]
    if verb not in RETRIEVAL and len(tokens) > rules.limits.tokens:
        # Where a data block would end is among the words, but which of them is anybody's guess.
        return Refusal(TOO_MANY_TOKENS, "too many tokens", close=verb in STORAGE or verb == b"ms")
    if verb in STORAGE:
        return _storage(tokens, rules)
    if verb in RETRIEVAL:
        return _retrieval(tokens, rules)
    if verb in KEYED:
        return _keyed(tokens, rules)
    if verb == b"me":
        return _meta_debug(tokens, rules)
    if verb in VERBS:
        return _meta(tokens)
    if verb == b"quit":
        return Refusal(b"", close=True)
    if verb in administration.VERBS:
        return administration_refusals.refuse(tokens, rules.allows)
    if tokens[-1].startswith(b"HTTP/"):
        # A browser, or somebody who makes one speak to memcached.
        return Refusal(b"", "http", close=True)
    return Refusal(ERROR, "unknown command")


def _storage(tokens: list[bytes], rules: TextRules) -> Refusal:
    verb = tokens[0]
    words = 6 if verb == b"cas" else 5
    silent = len(tokens) == words + 1 and tokens[-1] == b"noreply"
    if len(tokens) != words and not silent:
        # Too few: where the block ends is unknown. Too many: 1.6.18 runs the block as commands, newer ones store it.
        return Refusal(ERROR, "malformed", close=True)
    if grammar.is_length(tokens[4]) is None:
        return Refusal(BAD_FORMAT, "bad length", close=True)
    length = int(tokens[4])
    key = tokens[1]
    command_class = STORAGE[verb].classes[-1]
    reason: Reason
    denied = ""
    if (
        grammar.is_key(key) is None
        or grammar.is_uint32(tokens[2]) is None
        or grammar.is_exptime(tokens[3]) is None
        or (verb == b"cas" and grammar.is_uint64(tokens[5]) is None)
    ):
        reply, reason = BAD_FORMAT, "malformed"
    elif not _granted(verb, key, rules):
        reply, reason, denied = DENIED, "denied", command_class
    elif length > rules.limits.value:
        reply, reason = TOO_LARGE, "value too large"
    else:
        # A canonical, granted line that the pattern did not match: there is none, and if there were it would not pass.
        return Refusal(ERROR, "malformed", close=True)
    return Refusal(b"" if silent else reply, reason, swallow=length, denied=denied)


def _retrieval(tokens: list[bytes], rules: TextRules) -> Refusal:
    verb = tokens[0]
    first = 1 if verb.startswith(b"get") else 2
    keys = tokens[first:]
    if not keys:
        return Refusal(ERROR, "malformed")
    if first == 2 and grammar.is_exptime(tokens[1]) is None:
        return Refusal(BAD_EXPTIME, "malformed")
    if len(keys) > rules.limits.keys:
        return Refusal(TOO_MANY_KEYS, "too many keys", close=True)
    if any(grammar.is_key(key) is None for key in keys):
        return Refusal(BAD_FORMAT, "bad key")
    return _denied(RETRIEVAL[verb].classes)


def _keyed(tokens: list[bytes], rules: TextRules) -> Refusal:
    verb = tokens[0]
    words = 2 if verb == b"delete" else 3
    if len(tokens) == 1 or len(tokens) > 4:
        return Refusal(ERROR, "malformed")
    if verb == b"delete" and (len(tokens) != 2 or tokens[1] == b"noreply") and tokens[2:] != [b"noreply"]:
        return Refusal(DELETE_USAGE, "malformed")
    if len(tokens) not in (words, words + 1) or (len(tokens) == words + 1 and tokens[-1] != b"noreply"):
        return Refusal(ERROR, "malformed")
    if grammar.is_key(tokens[1]) is None:
        return Refusal(BAD_FORMAT, "bad key")
    if verb == b"delete" and tokens[1] == b"noreply":
        return Refusal(DELETE_USAGE, "malformed")
    if verb == b"touch" and grammar.is_exptime(tokens[2]) is None:
        return Refusal(BAD_EXPTIME, "malformed")
    if verb in (b"incr", b"decr") and grammar.is_uint64(tokens[2]) is None:
        return Refusal(BAD_DELTA, "malformed")
    silent = tokens[-1] == b"noreply" and len(tokens) == words + 1
    return _denied(KEYED[verb].classes, silent)


def _meta_debug(tokens: list[bytes], rules: TextRules) -> Refusal:
    names = [tokens[1], grammar.decode_key(tokens[1])] if b"b" in tokens[2:] else tokens[1:2]
    # Where a further word stands, memcacheds differ about what the key is.
    if len(tokens) > 2 and not all(rules.grants_class("inspect", name) for name in names if name is not None):
        return _denied(("inspect",))
    return Refusal(BAD_FORMAT, "malformed")


def _meta(tokens: list[bytes]) -> Refusal:
    verb = tokens[0]
    has_block = verb == b"ms"
    if len(tokens) == 1:
        return Refusal(ERROR, "malformed", close=has_block)
    swallow = None
    if has_block:
        if len(tokens) == 2 or grammar.is_length(tokens[2]) is None:
            return Refusal(BAD_FORMAT, "bad length", close=True)
        swallow = int(tokens[2])
    if grammar.is_key(tokens[1]) is None:
        return Refusal(BAD_FORMAT, "bad key", swallow=swallow)
    flags = read_flags(verb, b"".join(b" " + token for token in tokens[3 if has_block else 2 :]))
    return Refusal(flags.error or BAD_FORMAT, "malformed", swallow=swallow)


def _granted(verb: bytes, key: bytes, rules: TextRules) -> bool:
    matches = rules.grants_key[verb]
    return matches is not None and matches(key) is not None


def _denied(classes: tuple[str, ...], silent: bool = False) -> Refusal:
    return Refusal(b"" if silent else DENIED, "denied", denied=classes[-1])
