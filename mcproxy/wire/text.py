"""The text protocol, downstream: a client's bytes become requests that may go upstream, or the reason why not.

The ordinary path is one match of the ruleset's pattern. Everything else is spelled anew first (single spaces, no
"noreply", -1 for every negative time) and matched again: only what that one pattern matches ever goes up.
"""

import hashlib
import secrets
from collections.abc import Callable

from mcproxy.wire import grammar, text_refusals
from mcproxy.wire.outcome import Pending, Refusal
from mcproxy.wire.requests import LineRequest, LinesRequest, Request, Sink
from mcproxy.wire.retrieval import MultiGet, Piece, Retrieval
from mcproxy.wire.text_refusals import BAD_CHUNK, LINE_END, LINE_TOO_LONG
from mcproxy.wire.text_rules import RETRIEVAL, STORAGE, Form, TextRules

# The rest of a retrieval that is being cut: how its lines begin, the keys that are left, what its pieces share.
_Cut = tuple[bytes, list[bytes], MultiGet]
STORED = b"STORED\r\n"
# Longer than any verb and exptime before the keys of a retrieval.
_RETRIEVAL_PREFIX = 64
_DIGEST_KEY = secrets.token_bytes(32)


def token_digest(token: bytes) -> bytes:
    """What is kept of a login token, so that the token itself need not be."""
    return hashlib.blake2b(token, key=_DIGEST_KEY, digest_size=32).digest()


class TextParser:
    """Cuts one client's bytes into frames.

    `token` is what the client logged in with; a client that sends it again is answered STORED, and nothing is stored.
    After `next`, `end` is where the frame ended in `data`. Where it is incomplete, `needed` is the length that `data`
    must have before it is worth asking again; `until_newline`: or a line end must have come. `cutting`: more pieces of
    the frame before are to be asked for.
    """

    def __init__(self, rules: TextRules, sink: Sink, token: bytes | None = None) -> None:
        self.end = 0
        self.needed = 0
        self.until_newline = False
        self.cutting = False
        self._rules = rules
        self._match = rules.match
        self._forms = rules.forms
        self._sink = sink
        self._token_length = -1 if token is None else len(token)
        self._token_digest = b"" if token is None else token_digest(token)
        self._cut: _Cut = (b"", [], MultiGet())
        # A swallowed data block must end its line, or the client and the proxy disagree about where frames begin.
        self._after_block = False
        longest = rules.limits.keys * (grammar.KEY_LENGTH + 1) + _RETRIEVAL_PREFIX
        self._retrieval_length = max(longest, grammar.LINE_LENGTH)

    def next(self, data: bytes, position: int, room: int) -> Request | Refusal | Pending:
        """The frame at `position`. `room` is how many more answers may be in flight."""
        if room <= 0:
            return Pending.NO_ROOM
        if self.cutting:
            self.end = position
            return self._next_piece(room)
        if self._after_block:
            return self._end_of_block(data, position)
        match = self._match(data, position)
        if match is None:
            return self._unusual(data, position, room)
        end = match.end()
        if data[end - 1] != 0x0A or data[end - 2] != 0x0D:
            # Never seen with these patterns; an over-matching regular expression engine must not let anything through.
            return self._unusual(data, position, room)
        group = match.lastindex or 0
        form = self._forms[group]
        if form.kind == "retrieval":
            cost = data.count(b" ", position, end)
            if form.skip == 0:
                return self._get_and_touch(form, data[position:end], end, cost, room)
            if cost > room or (form.may_be_long and end - position > grammar.LINE_LENGTH):
                return self._part_of_run(form, data, position, end, room)
            self.end = end
            return Retrieval(self._sink, data[position:end], form.skip, cost, form.count, form.header)
        line = match.group()
        if form.kind == "storage":
            return self._storage(form, line, int(match[group + 1]), match[group + 2], data, end)
        self.end = end
        return self._line(form, line, form.kind == "line" and bool(match[group + 1]))

    def _line(self, form: Form, line: bytes, silent: bool) -> Request:
        if form.kind == "stats":
            return LinesRequest(self._sink, line, form.count)
        return LineRequest(self._sink, line[:-10] + b"\r\n" if silent else line, form.count, form.replies, silent)

    def _storage(
        self, form: Form, line: bytes, length: int, silent: bytes | None, data: bytes, block: int
    ) -> Request | Refusal | Pending:
        """A storage command whose data block begins at `block`."""
        end = block + length + 2
        if len(data) < end:
            self.needed = end
            self.until_newline = False
            return Pending.INCOMPLETE
        self.end = end
        if not data.startswith(b"\r\n", end - 2):
            return Refusal(b"" if silent else BAD_CHUNK, "bad data chunk", close=True)
        if length == self._token_length and line.startswith(b"set ") and self._is_token(data[block : end - 2]):
            return Refusal(STORED)
        if silent:
            line = line[:-10] + b"\r\n"
        return LineRequest(self._sink, line + data[block:end], form.count, form.replies, bool(silent))

    def _get_and_touch(self, form: Form, line: bytes, end: int, cost: int, room: int) -> Request | Refusal | Pending:
        """One gat or gats line; its first argument is the exptime."""
        self.end = end
        keys = cost - 1
        if keys > room or len(line) > grammar.LINE_LENGTH:
            verb, exptime, *names = line[:-2].split(b" ")
            return self._cut_up(verb + b" " + exptime, names, room)
        skip = line.index(b" ", 4 + line.startswith(b"gats"))
        return Retrieval(self._sink, line, skip, keys, form.count, form.header)

    def _part_of_run(self, form: Form, data: bytes, start: int, end: int, room: int) -> Request | Refusal | Pending:
        """As many whole lines of a run of gets as there is room for; a single line that is too much is cut up."""
        cost = 0
        position = start
        while position < end:
            following = data.index(b"\n", position) + 1
            keys = data.count(b" ", position, following)
            if cost + keys > room or following - position > grammar.LINE_LENGTH:
                break
            cost += keys
            position = following
        if position > start:
            self.end = position
            return Retrieval(self._sink, data[start:position], form.skip, cost, form.count, form.header)
        self.end = data.index(b"\n", start) + 1
        verb, *names = data[start : self.end - 2].split(b" ")
        return self._cut_up(verb, names, room)

    def _cut_up(self, prefix: bytes, keys: list[bytes], room: int) -> Request | Refusal | Pending:
        self._cut = (prefix, keys, MultiGet())
        self.cutting = True
        return self._next_piece(room)

    def _next_piece(self, room: int) -> Request | Refusal | Pending:
        """The next line of a retrieval that was too much for one line. Each is vetted again, as every line is."""
        prefix, keys, whole = self._cut
        if whole.failed:
            self.cutting = False
            return Refusal(b"")
        taken = 0
        length = len(prefix) + 2
        for key in keys[: min(room, grammar.KEYS_PER_LINE)]:
            length += len(key) + 1
            if length > grammar.LINE_LENGTH:
                break
            taken += 1
        line = prefix + b" " + b" ".join(keys[:taken]) + b"\r\n"
        rest = keys[taken:]
        self._cut = (prefix, rest, whole)
        self.cutting = bool(rest)
        match = self._match(line)
        if match is None or match.end() != len(line):
            self.cutting = False
            return Refusal(text_refusals.ERROR, "malformed", close=True)
        form = self._forms[match.lastindex or 0]
        return Piece(self._sink, line, len(prefix), taken, form.count, form.header, whole, not rest)

    def _unusual(self, data: bytes, position: int, room: int) -> Request | Refusal | Pending:
        """A frame that isn't spelled as it should be, isn't whole, or isn't allowed."""
        newline = data.find(b"\n", position)
        verb = data[position : position + 5].split(b" ")[0]
        bound = self._retrieval_length if verb in RETRIEVAL else grammar.LINE_LENGTH
        if newline < 0:
            if len(data) - position > bound:
                return Refusal(LINE_TOO_LONG, "line too long", close=True)
            self.needed = position + bound + 1
            self.until_newline = True
            return Pending.INCOMPLETE
        if newline - position >= bound:
            return Refusal(LINE_TOO_LONG, "line too long", close=True)
        if newline == position or data[newline - 1] != 0x0D:
            return Refusal(LINE_END, "bare line feed", close=True)
        self.end = newline + 1
        tokens = [token for token in data[position : newline - 1].split(b" ") if token]
        if not tokens:
            return Refusal(text_refusals.ERROR, "empty line")
        normalize(tokens)
        line = b" ".join(tokens) + b"\r\n"
        if len(tokens) > grammar.KEYS_PER_LINE or len(line) > grammar.LINE_LENGTH:
            return self._long_retrieval(tokens, room)
        match = self._match(line)
        if match is not None and match.end() == len(line) and line.endswith(b"\r\n"):
            group = match.lastindex or 0
            form = self._forms[group]
            if form.kind == "retrieval":
                first = 1 if form.skip else 2
                return self._cut_up(b" ".join(tokens[:first]), tokens[first:], room)
            if form.kind == "storage":
                return self._storage(form, line, int(match[group + 1]), match[group + 2], data, self.end)
            return self._line(form, line, form.kind == "line" and bool(match[group + 1]))
        again = self._token_again(tokens, data)
        if again is not None:
            return again
        refusal = text_refusals.refuse(tokens, self._rules)
        self._after_block = refusal.swallow is not None
        return refusal

    def _long_retrieval(self, tokens: list[bytes], room: int) -> Request | Refusal | Pending:
        """A multi-get of more keys or bytes than memcached should be given in a line."""
        verb = tokens[0]
        first = 1 if verb.startswith(b"get") else 2
        matches: Callable[..., object] | None = self._rules.grants_key.get(verb) if verb in RETRIEVAL else None
        keys = tokens[first:]
        if (
            matches is None
            or not 0 < len(keys) <= self._rules.limits.keys
            or (first == 2 and grammar.is_exptime(tokens[1]) is None)
            or not all(matches(key) for key in keys)
        ):
            return text_refusals.refuse(tokens, self._rules)
        return self._cut_up(b" ".join(tokens[:first]), keys, room)

    def _token_again(self, tokens: list[bytes], data: bytes) -> Refusal | Pending | None:
        """A login token that is sent again need not be a command that this client may use, or even a valid one."""
        if (
            self._token_length < 0
            or tokens[0] != b"set"
            or len(tokens) not in (5, 6)
            or tokens[4] != b"%d" % self._token_length
        ):
            return None
        end = self.end + self._token_length + 2
        if len(data) < end:
            self.needed = end
            self.until_newline = False
            return Pending.INCOMPLETE
        if not self._is_token(data[self.end : end - 2]) or not data.startswith(b"\r\n", end - 2):
            return None
        self.end = end
        return Refusal(STORED)

    def _is_token(self, block: bytes) -> bool:
        return secrets.compare_digest(token_digest(block), self._token_digest)

    def _end_of_block(self, data: bytes, position: int) -> Refusal | Pending:
        if len(data) < position + 2:
            self.needed = position + 2
            self.until_newline = False
            return Pending.INCOMPLETE
        self._after_block = False
        self.end = position + 2
        if data.startswith(b"\r\n", position):
            return Refusal(b"")
        return Refusal(b"", "bad data chunk", close=True)


def normalize(tokens: list[bytes]) -> None:
    """Spell, in place, what means one thing to every memcached as the canonical grammar spells it."""
    verb = tokens[0]
    if verb == b"delete" and len(tokens) in (3, 4) and tokens[2] == b"0":
        # The old "time" argument of delete: 1.6.18 takes only 0, newer ones ignore any word there.
        del tokens[2]
    elif verb in (b"version", b"mn"):
        # Both ignore what follows.
        del tokens[1:]
    elif verb == b"flush_all" and tokens[1:2] == [b"0"]:
        del tokens[1]
    else:
        index = 3 if verb in STORAGE else {b"touch": 2, b"gat": 1, b"gats": 1}.get(verb)
        if index is not None and len(tokens) > index and grammar.is_negative(tokens[index]) is not None:
            tokens[index] = b"-1"
