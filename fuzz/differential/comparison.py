"""What the client got against what it should have got."""

from collections.abc import Sequence
from dataclasses import replace

from fuzz.differential.outcomes import Passed, Reading, Refused
from fuzz.differential.replies import UNSTEADY, NoReply, reply_end
from tests.support.canonical import Frame


class Fault(Exception):
    """The two sides disagree. `kind` is a column of the verdict."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


OUT_OF_STEP, UNVETTED, CRASH, HANG = "out of step", "unvetted bytes", "crashes", "hangs"
CLOCKS = 3
"""Seconds that two memcacheds may be apart: each counts its own, once a second."""

KINDS = (OUT_OF_STEP, UNVETTED, CRASH, HANG)


def assign(reading: Reading, frames: Sequence[Frame], partly: bool = False) -> list[list[Frame]]:
    """The frames that went up for each passed outcome, in order. Raises Fault unless these are they.

    `partly`: the client went away, so that any number of its first requests may have gone up.
    """
    assigned = []
    index, count = 0, len(frames)
    for outcome in reading.outcomes:
        if not isinstance(outcome, Passed):
            continue
        first = index
        if partly and index == count:
            break
        if index < count and same_frame(outcome.upstream, frames[index].raw):
            index += 1
        elif len(outcome.keys) > 1:
            index = _pieces(outcome, frames, index, partly)
        if index == first:
            sent = frames[index].raw[:200] if index < count else b""
            raise Fault(OUT_OF_STEP, f"should have gone up: {outcome.upstream[:200]!r}; went up: {sent!r}")
        assigned.append(list(frames[first:index]))
    if index < count:
        raise Fault(OUT_OF_STEP, f"should not have gone up: {frames[index].raw[:200]!r}")
    return assigned


def one_key_each(frames: Sequence[Frame], replies: Sequence[bytes]) -> tuple[list[Frame], list[bytes]]:
    """Each `get` as one for every key of it: those of many requests go up in one line."""
    all_frames: list[Frame] = []
    all_replies: list[bytes] = []
    for frame, reply in zip(frames, replies, strict=True):
        if frame.verb != "get":
            all_frames.append(frame)
            all_replies.append(reply)
            continue
        position = 0
        for key in frame.keys:
            end = position
            if reply.startswith(b"VALUE %b " % key, position):
                line_end = reply.index(b"\r\n", position) + 2
                end = line_end + int(reply[position:line_end].split()[3]) + 2
            answer = reply if reply.startswith(b"SERVER_ERROR") else reply[position:end] + b"END\r\n"
            all_frames.append(replace(frame, raw=b"get %b\r\n" % key, keys=(key,)))
            all_replies.append(answer)
            position = end
    return all_frames, all_replies


def same_frame(expected: bytes, sent: bytes) -> bool:
    """Byte for byte; a packet's opaque is the program's own."""
    if expected[0] != 0x80:
        return expected == sent
    return expected[:12] == sent[:12] and expected[16:] == sent[16:]


def _pieces(outcome: Passed, frames: Sequence[Frame], index: int, partly: bool) -> int:
    """A retrieval may be cut: lines of the same verb and exptime that ask for the same keys in the same order."""
    words = outcome.upstream[:-2].split(b" ")
    prefix = b" ".join(words[: len(words) - len(outcome.keys)])
    taken = 0
    first = index
    while taken < len(outcome.keys) and index < len(frames):
        keys = frames[index].keys
        if tuple(outcome.keys[taken : taken + len(keys)]) != keys:
            return first
        if frames[index].raw != prefix + b" " + b" ".join(keys) + b"\r\n":
            return first
        taken += len(keys)
        index += 1
    return index if taken == len(outcome.keys) or partly else first


def compare(reading: Reading, assigned: list[list[Frame]], replies: list[bytes], got: bytes) -> None:
    """Raise Fault unless `got` is all that the client is owed, in order, and nothing else.

    `replies` are memcached's own, one for each frame that went up.
    """
    exact = []
    index = 0
    runs = iter(assigned)
    steps: list[tuple[Passed | Refused, bytes, Frame | None]] = []
    for outcome in reading.outcomes:
        if isinstance(outcome, Refused):
            steps.append((outcome, b"", None))
            continue
        run = next(runs)
        reply = joined(replies[index : index + len(run)])
        index += len(run)
        shown = outcome.shown(reply)
        exact.append(shown)
        steps.append((outcome, shown, run[0]))
    if len(exact) == len(steps) and b"".join(exact) == got:
        return
    position = 0
    for outcome, shown, frame in steps:
        if isinstance(outcome, Refused):
            end = outcome.reply(got, position)
            if end < 0:
                raise Fault(OUT_OF_STEP, f"should have been refused; the client got {got[position : position + 200]!r}")
        elif got.startswith(shown, position):
            end = position + len(shown)
        else:
            assert frame is not None
            end = unsteady(frame, shown, got, position)
        position = end
    if position != len(got):
        raise Fault(OUT_OF_STEP, f"beyond what the client is owed: {got[position : position + 200]!r}")


def joined(replies: list[bytes]) -> bytes:
    """The reply to a retrieval that went up in pieces: without the ENDs within it."""
    if len(replies) == 1:
        return replies[0]
    return b"".join(reply[: -len(b"END\r\n")] for reply in replies[:-1]) + replies[-1]


def unsteady(frame: Frame, shown: bytes, got: bytes, position: int) -> int:
    """The end of a reply that need not be the same from two memcacheds. Raises Fault where it has to be."""
    if frame.verb in ("mg", "ma", "me") and (line := got[position : got.find(b"\n", position) + 1]):
        own = shown[: shown.find(b"\n") + 1]
        if _same_but_for_time(own.split(b" "), line.split(b" ")) and got.startswith(
            shown[len(own) :], position + len(line)
        ):
            return position + len(line) + len(shown) - len(own)
    if frame.verb in UNSTEADY:
        try:
            end = reply_end(_as_asked(frame, shown), got, position)
        except NoReply as fault:
            raise Fault(OUT_OF_STEP, str(fault)) from None
        if end >= 0:
            return end
    raise Fault(
        OUT_OF_STEP,
        f"{frame.raw[:200]!r}: memcached says {shown[:200]!r}, the client got {got[position : position + 200]!r}",
    )


def _same_but_for_time(own: list[bytes], got: list[bytes]) -> bool:
    """Whether words differ only in seconds left (t, exp) or since (l, la), by what two clocks may differ."""
    if len(own) != len(got):
        return False
    for one, other in zip(own, got, strict=True):
        if one == other:
            continue
        name = next((each for each in (b"exp=", b"la=", b"t", b"l") if one.startswith(each)), None)
        if name is None or not other.startswith(name):
            return False
        numbers = [word.removeprefix(name).strip() for word in (one, other)]
        if not all(number.lstrip(b"-").isdigit() for number in numbers):
            return False
        if abs(int(numbers[0]) - int(numbers[1])) > CLOCKS:
            return False
    return True


def _as_asked(frame: Frame, shown: bytes) -> Frame:
    """The frame as its client sent it: replies come back under the client's opaque."""
    if frame.raw[0] != 0x80:
        return frame
    raw = frame.raw[:1] + shown[1:2] + frame.raw[2:12] + shown[12:16] + frame.raw[16:]
    return Frame(frame.verb, frame.keys, frame.body, raw, frame.opaque)
