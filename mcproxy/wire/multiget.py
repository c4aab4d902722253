"""A retrieval that is too much for one line of memcached's: it goes up in several lines, and is answered as one."""

from mcproxy.wire import grammar
from mcproxy.wire.error_lines import ERROR
from mcproxy.wire.outcome import Refusal
from mcproxy.wire.overlong import shorten
from mcproxy.wire.requests import Sink
from mcproxy.wire.retrieval import MultiGet, Piece, RenamedPiece
from mcproxy.wire.text_rules import TextRules


class CutRetrieval:
    """What is left of it. `prefix` is how its lines begin; `keys` are the client's, `finished`: all have gone up.

    `overlong_key` is how long a key may be that goes up under another name, in bytes; 0 if none may.
    """

    def __init__(self, rules: TextRules, sink: Sink, prefix: bytes, keys: list[bytes], overlong_key: int) -> None:
        self._keys = keys
        # How many of them have gone up.
        self._taken = 0
        self._rules = rules
        self._sink = sink
        self._prefix = prefix
        self._overlong_key = overlong_key
        self._whole = MultiGet()

    @property
    def finished(self) -> bool:
        """Whether there are no more pieces."""
        return self._taken == len(self._keys)

    def next_piece(self, room: int) -> Piece | Refusal:
        """The next line, of at most `room` keys. Each is vetted again, as every line is."""
        if self._whole.failed:
            self._taken = len(self._keys)
            return Refusal(b"")
        own_name = None
        fitting = self._fitting(room)
        count = len(fitting)
        if fitting:
            line = self._prefix + b" " + b" ".join(fitting) + b"\r\n"
        else:
            # An overlong key has a line of its own, so that its value can be given back under the client's name.
            count = 1
            own_name = self._keys[self._taken]
            line = self._prefix + b" " + shorten(own_name, self._overlong_key) + b"\r\n"
        self._taken += count
        match = self._rules.match(line)
        if match is None or match.end() != len(line):
            self._taken = len(self._keys)
            return Refusal(ERROR, "malformed", close=True)
        form = self._rules.forms[match.lastindex or 0]
        skip, last = len(self._prefix), self.finished
        if own_name is not None:
            return RenamedPiece(self._sink, line, skip, own_name, form.count, form.header, self._whole, last)
        return Piece(self._sink, line, skip, count, form.count, form.header, self._whole, last)

    def _fitting(self, room: int) -> list[bytes]:
        """The keys that fit the next line; none if the first is too long for memcached."""
        keys = self._keys[self._taken : self._taken + min(room, grammar.KEYS_PER_LINE)]
        length = len(self._prefix) + 2
        for count, key in enumerate(keys):
            length += len(key) + 1
            if length > grammar.LINE_LENGTH or len(key) > grammar.KEY_LENGTH:
                return keys[:count]
        return keys
