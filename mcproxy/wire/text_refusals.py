"""Why a text command cannot go upstream, in memcached's own words for the same mistake.

These replies are what client libraries already know how to read. A frame whose end is known costs the client one error
and leaves the connection in step; one whose end is not known ends the connection.
"""

from mcproxy.wire import grammar
from mcproxy.wire.outcome import Refusal
from mcproxy.wire.text_rules import KEYED, KEYLESS, RETRIEVAL, STATS, STORAGE, TextRules

ERROR = b"ERROR\r\n"
BAD_FORMAT = b"CLIENT_ERROR bad command line format\r\n"
BAD_CHUNK = b"CLIENT_ERROR bad data chunk\r\n"
BAD_DELTA = b"CLIENT_ERROR invalid numeric delta argument\r\n"
BAD_EXPTIME = b"CLIENT_ERROR invalid exptime argument\r\n"
DELETE_USAGE = b"CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"
DELAYED_FLUSH = b"CLIENT_ERROR flush_all with a delay is not supported\r\n"
DENIED = b"CLIENT_ERROR access denied\r\n"
LINE_END = b"CLIENT_ERROR line must end in \\r\\n\r\n"
LINE_TOO_LONG = b"CLIENT_ERROR line too long\r\n"
TOO_LARGE = b"SERVER_ERROR object too large for cache\r\n"
TOO_MANY_KEYS = b"CLIENT_ERROR too many keys in one request\r\n"


def refuse(tokens: list[bytes], rules: TextRules) -> Refusal:
    """What is wrong with a command line that the rules don't match. `tokens` are its words, at least one."""
    verb = tokens[0]
    if verb in STORAGE:
        return _storage(tokens, rules)
    if verb in RETRIEVAL:
        return _retrieval(tokens, rules)
    if verb in KEYED:
        return _keyed(tokens, rules)
    if verb == b"ms":
        # Not available, but its data block must not be taken for commands.
        if len(tokens) < 3 or grammar.is_length(tokens[2]) is None:
            return Refusal(ERROR, "unknown command", close=True)
        return Refusal(ERROR, "unknown command", swallow=int(tokens[2]))
    if verb == b"quit":
        return Refusal(b"", close=True)
    if verb == b"stats":
        return _stats(tokens, rules)
    if verb in KEYLESS and KEYLESS[verb].classes:
        return _keyless(tokens, rules)
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


def _keyless(tokens: list[bytes], rules: TextRules) -> Refusal:
    verb = tokens[0]
    silent = tokens[-1] == b"noreply"
    arguments = tokens[1:-1] if silent else tokens[1:]
    if len(arguments) > 1 or (verb == b"verbosity" and not arguments):
        reply = ERROR
    elif verb == b"verbosity" and arguments[0] not in (b"0", b"1", b"2"):
        reply = BAD_FORMAT
    elif verb == b"flush_all" and arguments:
        reply = DELAYED_FLUSH if grammar.is_exptime(arguments[0]) else BAD_EXPTIME
    else:
        return _denied(KEYLESS[verb].classes, silent)
    return Refusal(b"" if silent else reply, "malformed")


def _stats(tokens: list[bytes], rules: TextRules) -> Refusal:
    words = b" ".join(tokens[:2] if tokens[1:2] == [b"cachedump"] else tokens)
    if words not in STATS:
        return Refusal(ERROR, "unknown command")
    if rules.allows(STATS[words]):
        return Refusal(BAD_FORMAT, "malformed")
    return _denied((STATS[words],))


def _granted(verb: bytes, key: bytes, rules: TextRules) -> bool:
    matches = rules.grants_key[verb]
    return matches is not None and matches(key) is not None


def _denied(classes: tuple[str, ...], silent: bool = False) -> Refusal:
    return Refusal(b"" if silent else DENIED, "denied", denied=classes[-1])
