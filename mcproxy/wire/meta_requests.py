"""Meta commands in flight: reading their replies, and comparing what comes back with what was asked (R3).

A reply names the key (k) and the opaque (O) if the request asked for them, and every other flag that was asked for in
the order in which it was asked. All of it is compared, whatever is a number only in its shape.
"""

import re
from typing import Final

from mcproxy.wire import grammar
from mcproxy.wire.meta_rules import VERBS, Flags
from mcproxy.wire.requests import STREAM_FROM, OutOfStep, Request, Sink, ValueRequest, expect_more, impossible

_LENGTH: Final = re.compile(grammar.decimal_at_most(grammar.LARGEST_LENGTH)).fullmatch
_FAILURE: Final = re.compile(grammar.FAILURE).fullmatch
_NON_NUMERIC: Final = b"CLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
_NUMBER: Final = re.compile(rb"-?[0-9]{1,20}").fullmatch
_DETAILS: Final = re.compile(rb"(?: [a-z_]{1,16}=[a-z0-9-]{1,20}){1,16}\r\n").fullmatch
# A number as text: what ma can answer.
_LONGEST_NUMBER: Final = 20
_OPAQUE, _KEY, _SIZE, _VALUE, _COMPARED = b"OksvC"


class MetaRequest(ValueRequest):
    """mg, ms, md or ma. `key` is the decoded key, `name` as it went upstream; `own_name`: what the client calls it."""

    __slots__ = ("flags", "key", "name", "own_name", "verb")
    releases = True

    def __init__(
        self, sink: Sink, upstream: bytes, verb: bytes, name: bytes, key: bytes, flags: Flags, own_name: bytes | None
    ) -> None:
        self.verb = VERBS[verb]
        super().__init__(sink, upstream, 1, self.verb.count)
        self.name = name
        self.key = key
        self.flags = flags
        self.own_name = own_name
        self.lookups = 1 if verb == b"mg" else 0

    def take(self, buffer: bytes, position: int) -> int:
        """Consume one line, and the value that it announces."""
        if self.streaming:
            position = self.stream(buffer, position)
            self.done = not self.streaming
            return position
        newline = buffer.find(b"\n", position)
        if newline < 0:
            expect_more(buffer, position)
            return position
        end = newline + 1
        line = buffer[position:end]
        verb = self.verb
        words = line[:-2].split(b" ")
        status = words[0]
        if not self.lookups and len(words) > 1 and not words[1] and status != b"VA":
            # memcached before 1.6.18 leaves a blank behind the status of changes, whatever comes then.
            del words[1]
        if line[-2:] != b"\r\n":
            raise OutOfStep("a line end that memcached doesn't write")
        if status in verb.hit:
            if status == b"VA":
                end = self._end_of_value(words, end)
            elif _VALUE in self.flags.letters and _COMPARED not in self.flags.letters:
                raise OutOfStep("no value where one was asked for")
            self._compare(words, 2 if status == b"VA" else 1, verb.hit_echoes)
        elif status in verb.others:
            self._compare(words, 1, verb.other_echoes)
        elif _FAILURE(line) is None and (line != _NON_NUMERIC or verb is not VERBS[b"ma"]):
            raise impossible(buffer, position)
        return self._deliver(buffer, position, newline + 1, end, status)

    def fail(self, reason: bytes) -> None:
        """One error line: q does not hide errors. A value that was cut short ends the connection."""
        if self.streaming:
            self.sink.cut_short()
        else:
            self.sink.deliver(b"SERVER_ERROR " + reason + b"\r\n")

    def _deliver(self, buffer: bytes, position: int, value: int, end: int, status: bytes) -> int:
        """Deliver a reply from `position` to `end` whose value starts at `value`, if all of it is there or it is large.

        Returns how far it was consumed.
        """
        size = len(buffer)
        if end > size and end - value <= STREAM_FROM:
            return position
        if self.lookups and status in self.verb.hit:
            self.hits = 1
            self.sink.largest_value = max(self.sink.largest_value, end - value)
        taken = end if end <= size else min(size, end - 2)
        self.streaming = end - taken
        if end > value and not self.streaming and not buffer.startswith(b"\r\n", end - 2):
            raise OutOfStep("a value that is longer than its length")
        if not (self.flags.quiet and status in self.verb.hidden):
            if self.own_name is None:
                self.sink.deliver(buffer[position:taken])
            else:
                line = buffer[position:value]
                self.sink.deliver(line.replace(b" k" + self.name, b" k" + self.own_name) + buffer[value:taken])
        self.done = not self.streaming
        return taken

    def _end_of_value(self, words: list[bytes], value: int) -> int:
        if _VALUE not in self.flags.letters or len(words) < 2 or _LENGTH(words[1]) is None:
            raise OutOfStep("a value that was not asked for")
        length = int(words[1])
        if not self.lookups and length > _LONGEST_NUMBER:
            raise OutOfStep("a number that is too long")
        return value + length + 2

    def _compare(self, words: list[bytes], index: int, echoed: bytes) -> None:
        """Hold the flags of a reply against those that were asked for. Raises OutOfStep."""
        count = len(words)
        for token in self.flags.echoes:
            letter = token[0]
            if letter not in echoed:
                continue
            if index == count or words[index][:1] != token[:1]:
                # ms on 1.6.18 takes the flag s and doesn't answer it.
                if letter == _SIZE and self.verb is VERBS[b"ms"]:
                    continue
                raise OutOfStep("a flag that was asked for is not in the reply")
            word = words[index]
            index += 1
            if letter == _OPAQUE:
                if word != token:
                    raise OutOfStep("a reply to another request")
            elif letter == _KEY:
                encoded = index < count and words[index] == b"b"
                index += encoded
                if (grammar.decode_key(word[1:]) if encoded else word[1:]) != self.key:
                    raise OutOfStep("a reply about another key")
            elif _NUMBER(word[1:]) is None:
                raise OutOfStep("a flag whose number is none")
        if self.lookups and echoed is self.verb.hit_echoes:
            # Won, stale, token already sent.
            for mark in (b"Z", b"X", b"W"):
                index += index < count and words[index] == mark
        if index != count:
            raise OutOfStep("a reply with more than was asked for")


class MetaDebug(Request):
    """me: one line about an item, which names its key, or EN."""

    __slots__ = ("key", "own_name")
    releases = True

    def __init__(self, sink: Sink, upstream: bytes, key: bytes, own_name: bytes | None) -> None:
        super().__init__(sink, upstream, 1, "inspect")
        self.key = key
        self.own_name = own_name

    def take(self, buffer: bytes, position: int) -> int:
        """Consume one line."""
        newline = buffer.find(b"\n", position)
        if newline < 0:
            expect_more(buffer, position)
            return position
        line = buffer[position : newline + 1]
        if line.startswith(b"ME "):
            name, space, details = line[3:].partition(b" ")
            # An item that was stored under a base64 key shows it so, without a mark.
            if self.key not in (name, grammar.decode_key(name)) or _DETAILS(space + details) is None:
                raise OutOfStep("a reply about another key")
            if self.own_name is not None:
                line = b"ME " + self.own_name + space + details
        elif line != b"EN\r\n" and _FAILURE(line) is None:
            raise impossible(buffer, position)
        self.sink.deliver(line)
        self.done = True
        return newline + 1

    def fail(self, reason: bytes) -> None:
        """One error line."""
        self.sink.deliver(b"SERVER_ERROR " + reason + b"\r\n")
