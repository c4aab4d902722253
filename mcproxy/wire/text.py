"""The text protocol, downstream: a client's bytes become requests that may go upstream, or the reason why not.

The ordinary path is one match of the ruleset's pattern. Everything else is spelled anew first (single spaces, no
"noreply", -1 for every negative time) and matched again: only what that one pattern matches ever goes up.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from mcproxy.wire import grammar, meta, text_refusals, text_sasl
from mcproxy.wire.error_lines import ERROR
from mcproxy.wire.multiget import CutRetrieval
from mcproxy.wire.outcome import LogInAgain, Pending, Refusal
from mcproxy.wire.overlong import shorten
from mcproxy.wire.parser import Parser
from mcproxy.wire.requests import LineRequest, Request, Sink
from mcproxy.wire.retrieval import Get, Retrieval
from mcproxy.wire.sent_token import STORED, SentToken
from mcproxy.wire.spelling import has_plain_key, normalize
from mcproxy.wire.text_refusals import BAD_CHUNK, LINE_END, LINE_TOO_LONG
from mcproxy.wire.text_rules import RETRIEVAL, Form, TextRules

# Longer than any verb and exptime before the keys of a retrieval.
_RETRIEVAL_PREFIX: Final = 64


class TextParser(Parser):
    """Cuts one client's bytes into frames.

    `token` is what the client logged in with; a client that sends it again is answered STORED, and nothing is stored.
    `mechanisms` is what `sasl mech` lists; None where no SASL login is offered. It may be set anew at any time.
    `digest_overlong_keys`: keys that are too long for memcached go up under a name that isn't (wire.overlong).
    """

    def __init__(
        self,
        rules: TextRules,
        sink: Sink,
        token: bytes | None = None,
        mechanisms: bytes | None = None,
        *,
        digest_overlong_keys: bool = False,
    ) -> None:
        super().__init__()
        self._rules = rules
        self._match = rules.match
        self._forms = rules.forms
        self._sink = sink
        self._token = None if token is None else SentToken(token)
        self.mechanisms = mechanisms
        self._cut: CutRetrieval
        # A swallowed data block must end its line, or the client and the proxy disagree about where frames begin.
        self._after_block = False
        # 0 where overlong keys are refused.
        self._overlong_key = rules.limits.overlong_key if digest_overlong_keys else 0
        longest_key = max(grammar.KEY_LENGTH, self._overlong_key)
        longest = rules.limits.keys * (longest_key + 1) + _RETRIEVAL_PREFIX
        self._retrieval_length = max(longest, rules.limits.line)

    @property
    def continuing(self) -> bool:
        """Whether the next call goes on with the frame before: more pieces of it, or the end of a swallowed block."""
        return self.cutting or self._after_block

    def next(self, data: bytes, position: int, room: int) -> Request | Refusal | Pending | LogInAgain:
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
                return self._part_of_run(form, data, position, room)
            self.end = end
            gathers = form.gathers and (cost == 1 or data.count(b"\n", position, end) == cost)
            kind = Get if gathers else Retrieval
            return kind(self._sink, data[position:end], form.skip, cost, form.count, form.header)
        line = match.group()
        if form.kind == "storage":
            return self._storage(form, line, int(match[group + 1]), match[group + 2], data, end)
        if form.kind == "meta":
            return self._meta(match, group, data, end)
        self.end = end
        return self._line(form, line, form.kind == "line" and bool(match[group + 1]))

    def _line(self, form: Form, line: bytes, silent: bool) -> Request:
        if form.private is not None:
            return form.private(self._sink, line, form.count)
        return LineRequest(self._sink, line[:-10] + b"\r\n" if silent else line, form.count, form.replies, silent)

    def _storage(
        self, form: Form, line: bytes, length: int, silent: bytes | None, data: bytes, block: int
    ) -> Request | Refusal | Pending:
        """A storage command whose data block begins at `block`."""
        end = block + length + 2
        if not self._has(data, end):
            return Pending.INCOMPLETE
        self.end = end
        if not data.startswith(b"\r\n", end - 2):
            return Refusal(b"" if silent else BAD_CHUNK, "bad data chunk", close=True)
        if self._token is not None and line.startswith(b"set ") and self._token.is_in(data, block, end - 2):
            return Refusal(STORED)
        if silent:
            line = line[:-10] + b"\r\n"
        return LineRequest(self._sink, line + data[block:end], form.count, form.replies, bool(silent))

    def _meta(
        self, match: "re.Match[bytes]", group: int, data: bytes, block: int, own_name: bytes | None = None
    ) -> Request | Refusal | Pending:
        """A meta command; for ms, its data block begins at `block`."""
        self.end = block
        verb, name, third = match.group(group + 1, group + 2, group + 3)
        if verb == b"me":
            return meta.debug(self._sink, name, third is not None, self._rules, own_name)
        if verb != b"ms":
            return meta.request(self._sink, verb, name, third, self._rules, own_name)
        if self._token is not None:
            again = self._token_again([verb, name, third], data)
            if again is not None:
                return again
        length = int(third)
        request = meta.storage(self._sink, name, length, match[group + 4], self._rules, own_name)
        if isinstance(request, Refusal):
            self._after_block = True
            return replace(request, swallow=length)
        end = block + length + 2
        if not self._has(data, end):
            return Pending.INCOMPLETE
        self.end = end
        if not data.startswith(b"\r\n", end - 2):
            # Not even q hides this one.
            return Refusal(BAD_CHUNK, "bad data chunk", close=True)
        request.upstream += data[block:end]
        return request

    def _get_and_touch(self, form: Form, line: bytes, end: int, cost: int, room: int) -> Request | Refusal | Pending:
        """One gat or gats line; its first argument is the exptime."""
        self.end = end
        keys = cost - 1
        if keys > room or len(line) > grammar.LINE_LENGTH:
            verb, exptime, *names = line[:-2].split(b" ")
            return self._cut_up(verb + b" " + exptime, names, room)
        skip = line.index(b" ", 4 + line.startswith(b"gats"))
        return Retrieval(self._sink, line, skip, keys, form.count, form.header)

    def _part_of_run(self, form: Form, data: bytes, start: int, room: int) -> Request | Refusal | Pending:
        """As many whole lines of a run of gets as there is room for; a single line that is too much is cut up."""
        cost = 0
        position = start
        # Not all of it fits, or this would not have been asked for.
        while True:
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
        """A retrieval that is too much for one line. Each of its pieces is vetted again, as every line is."""
        self._cut = CutRetrieval(self._rules, self._sink, prefix, keys, self._overlong_key)
        return self._next_piece(room)

    def _next_piece(self, room: int) -> Request | Refusal | Pending:
        piece = self._cut.next_piece(room)
        self.cutting = not self._cut.finished
        return piece

    def _unusual(self, data: bytes, position: int, room: int) -> Request | Refusal | Pending | LogInAgain:
        """A frame that isn't spelled as it should be, isn't whole, or isn't allowed."""
        newline = data.find(b"\n", position)
        verb = data[position : position + 5].split(b" ")[0]
        bound = self._retrieval_length if verb in RETRIEVAL else self._rules.limits.line
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
            return Refusal(ERROR, "empty line")
        normalize(tokens)
        own_name = None
        if self._overlong_key and has_plain_key(tokens) and len(tokens[1]) > grammar.KEY_LENGTH:
            own_name, tokens[1] = tokens[1], shorten(tokens[1], self._overlong_key)
        line = b" ".join(tokens) + b"\r\n"
        if tokens[0] in RETRIEVAL and self._is_long(tokens, line):
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
            if form.kind == "meta":
                return self._meta(match, group, data, self.end, own_name)
            return self._line(form, line, form.kind == "line" and bool(match[group + 1]))
        again = self._token_again(tokens, data)
        if again is not None:
            return again
        if tokens[0] == b"sasl":
            outcome = text_sasl.answer(tokens, self.mechanisms)
        else:
            outcome = text_refusals.refuse(tokens, self._rules)
        self._after_block = isinstance(outcome, Refusal) and outcome.swallow is not None
        return outcome

    def _is_long(self, tokens: list[bytes], line: bytes) -> bool:
        return (
            len(tokens) > grammar.KEYS_PER_LINE
            or len(line) > grammar.LINE_LENGTH
            or (self._overlong_key > 0 and max(map(len, tokens)) > grammar.KEY_LENGTH)
        )

    def _long_retrieval(self, tokens: list[bytes], room: int) -> Request | Refusal | Pending:
        """A multi-get of more keys or bytes, or of longer keys, than memcached should be given in a line."""
        verb = tokens[0]
        first = 1 if verb.startswith(b"get") else 2
        keys = tokens[first:]
        names = [shorten(key, self._overlong_key) for key in keys]
        matches: Callable[..., object] | None = self._rules.grants_key[verb]
        if (
            matches is None
            or not 0 < len(keys) <= self._rules.limits.keys
            or (first == 2 and grammar.is_exptime(tokens[1]) is None)
            or not all(matches(name) for name in names)
        ):
            return text_refusals.refuse([*tokens[:first], *names], self._rules)
        return self._cut_up(b" ".join(tokens[:first]), keys, room)

    def _token_again(self, tokens: list[bytes], data: bytes) -> Refusal | Pending | None:
        """A login token that is sent again need not be a command that this client may use, or even a valid one."""
        token = self._token
        reply = None if token is None else token.reply_to(tokens)
        if token is None or reply is None:
            return None
        end = self.end + token.length + 2
        if not self._has(data, end):
            return Pending.INCOMPLETE
        if not token.is_in(data, self.end, end - 2) or not data.startswith(b"\r\n", end - 2):
            return None
        self.end = end
        return Refusal(reply)

    def _end_of_block(self, data: bytes, position: int) -> Refusal | Pending:
        if not self._has(data, position + 2):
            return Pending.INCOMPLETE
        self._after_block = False
        self.end = position + 2
        if data.startswith(b"\r\n", position):
            return Refusal(b"")
        return Refusal(b"", "bad data chunk", close=True)

    def _has(self, data: bytes, end: int) -> bool:
        """Whether the data reaches to `end`; if not, it is not worth asking before it does."""
        if len(data) >= end:
            return True
        self.needed = end
        self.until_newline = False
        return False
