"""A retrieval that is too much for one line of memcached's: it goes up in several lines, and is answered as one."""

from mcproxy.wire import grammar
from mcproxy.wire.error_lines import ERROR
from mcproxy.wire.outcome import Refusal
from mcproxy.wire.overlong import shorten
from mcproxy.wire.requests import Sink
from mcproxy.wire.retrieval import MultiGet, Piece, RenamedPiece
from mcproxy.wire.text_rules import TextRules


class CutRetrieval:
    """What is left of it. `prefix` is how its lines begin; `keys` are those that have not gone up yet.

    `overlong_key` is how long a key may be that goes up under another name, in bytes; 0 if none may.
    """

    def __init__(self, rules: TextRules, sink: Sink, prefix: bytes, keys: list[bytes], overlong_key: int) -> None:
        self.keys = keys
        self._rules = rules
        self._sink = sink
        self._prefix = prefix
        self._overlong_key = overlong_key
        self._whole = MultiGet()

    def next_piece(self, room: int) -> Piece | Refusal:
        """The next line, of at most `room` keys. Each is vetted again, as every line is."""
        if self._whole.failed:
            self.keys = []
            return Refusal(b"")
        own_name = None
        count = self._fitting(room)
        if count:
            line = self._prefix + b" " + b" ".join(self.keys[:count]) + b"\r\n"
        else:
            # An overlong key has a line of its own, so that its value can be given back under the client's name.
            count = 1
            own_name = self.keys[0]
            line = self._prefix + b" " + shorten(own_name, self._overlong_key) + b"\r\n"
        self.keys = self.keys[count:]
        match = self._rules.match(line)
        if match is None or match.end() != len(line):
            self.keys = []
            return Refusal(ERROR, "malformed", close=True)
        form = self._rules.forms[match.lastindex or 0]
        skip, last = len(self._prefix), not self.keys
        if own_name is not None:
            return RenamedPiece(self._sink, line, skip, own_name, form.count, form.header, self._whole, last)
        return Piece(self._sink, line, skip, count, form.count, form.header, self._whole, last)

    def _fitting(self, room: int) -> int:
        """How many of the keys fit the next line; 0 if the first is too long for memcached."""
        count = 0
        length = len(self._prefix) + 2
        for key in self.keys[: min(room, grammar.KEYS_PER_LINE)]:
            length += len(key) + 1
            if length > grammar.LINE_LENGTH or len(key) > grammar.KEY_LENGTH:
                break
            count += 1
        return count
