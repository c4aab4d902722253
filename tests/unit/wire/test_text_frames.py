"""Text commands that are as they should be, or may be made so: what goes upstream for them and what comes back."""

import pytest

from tests.unit.wire.answering import answer
from tests.unit.wire.driving import play_every_way
from tests.unit.wire.granting import text

KEY = b"k" * 250
STORAGE = [b"set", b"add", b"replace", b"append", b"prepend", b"cas"]

AS_THEY_ARE = [
    b"get a",
    b"get " + KEY,
    b"gets b",
    b"get a b c d e f g h",
    b"get a b c d e f g h i",
    b"gets a b c d e f g h i j k l",
    b"gat 0 a",
    b"gat -1 b",
    b"gats 2147483647 a b c",
    b"get noreply",
    b"get get set END VALUE",
    b"get a HTTP/1.1",
    b"gat 1 noreply",
    b"get \x80 \xff\xfe",
    b"get 0 -1 ! ~",
    b"incr a 0",
    b"incr a 18446744073709551615",
    b"decr b 1",
    b"incr noreply 1",
    b"delete a",
    b"delete noreply2",
    b"delete " + KEY,
    b"touch a 0",
    b"touch a -1",
    b"touch noreply 2147483647",
    b"flush_all",
    b"verbosity 0",
    b"verbosity 1",
    b"verbosity 2",
    b"version",
    b"mn",
    b"stats",
    b"stats items",
    b"stats slabs",
    b"stats sizes",
    b"stats settings",
    b"stats conns",
    b"stats extstore",
    b"stats reset",
    b"stats detail on",
    b"stats detail off",
    b"stats detail dump",
    b"stats cachedump 1 0",
    b"stats cachedump 63 4294967295",
]


def block(verb: bytes, line: bytes = b"k 0 0 %d", value: bytes = b"value", end: bytes = b"") -> bytes:
    unique = b" 0" if verb == b"cas" else b""
    return verb + b" " + line % len(value) + unique + end + b"\r\n" + value + b"\r\n"


STORED_AS_THEY_ARE = [
    block(verb, line, value)
    for verb in STORAGE
    for line, value in (
        (b"k 0 0 %d", b"value"),
        (b"k 0 0 %d", b""),
        (b"k 0 -1 %d", b"\0\r\n\n\r"),
        (b"k 4294967295 2147483647 %d", b"get a\r\nflush_all\r\n"),
        (KEY + b" 1 1 %d", b"END\r\n"),
        (b"noreply 0 0 %d", b"x" * 11),
    )
]


@pytest.mark.parametrize("line", AS_THEY_ARE, ids=lambda line: line.decode("latin-1")[:40])
def test_canonical_lines_go_up_as_they_are(line):
    frame = line + b"\r\n"
    outcome = play_every_way(text(), frame)
    assert (outcome.upstream, outcome.end, outcome.refusals) == (frame, "open", [])
    assert outcome.received


@pytest.mark.parametrize("frame", STORED_AS_THEY_ARE, ids=lambda frame: repr(frame[:40]))
def test_canonical_blocks_go_up_as_they_are(frame):
    outcome = play_every_way(text(), frame)
    assert (outcome.upstream, outcome.end, outcome.refusals) == (frame, "open", [])
    assert outcome.received


@pytest.mark.parametrize("unique", [b"1", b"18446744073709551615"])
def test_cas_unique(unique):
    frame = b"cas k 0 0 1 %s\r\nx\r\n" % unique
    outcome = play_every_way(text(), frame)
    assert (outcome.upstream, outcome.received) == (frame, b"EXISTS\r\n")


WITH_NOREPLY = [
    *(block(verb) for verb in STORAGE),
    b"incr a 1\r\n",
    b"decr a 1\r\n",
    b"delete a\r\n",
    b"touch a 0\r\n",
    b"flush_all\r\n",
    b"verbosity 1\r\n",
    b"incr noreply 1\r\n",
    b"touch noreply 1\r\n",
    block(b"set", b"noreply 0 0 %d"),
]


@pytest.mark.parametrize("frame", WITH_NOREPLY, ids=repr)
def test_noreply_is_taken_off_and_its_reply_dropped(frame):
    quiet = frame.replace(b"\r\n", b" noreply\r\n", 1)
    outcome = play_every_way(text(), quiet + b"mn\r\n")
    assert (outcome.upstream, outcome.received, outcome.end) == (frame + b"mn\r\n", b"MN\r\n", "open")


@pytest.mark.parametrize("frame", WITH_NOREPLY, ids=repr)
def test_noreply_drops_errors_too(frame):
    quiet = frame.replace(b"\r\n", b" noreply\r\n", 1)
    outcome = play_every_way(text(), quiet, answer=lambda data: b"SERVER_ERROR out of memory\r\n")
    assert (outcome.upstream, outcome.received, outcome.end) == (frame, b"", "open")


@pytest.mark.parametrize(
    ("frame", "canonical"),
    [
        (b" get a\r\n", b"get a\r\n"),
        (b"get  a\r\n", b"get a\r\n"),
        (b"get a \r\n", b"get a\r\n"),
        (b"   gets   a    b  \r\n", b"gets a b\r\n"),
        (b"gat  10 a\r\n", b"gat 10 a\r\n"),
        (b"gat -2 a\r\n", b"gat -1 a\r\n"),
        (b"gats -2147483648 a\r\n", b"gats -1 a\r\n"),
        (b"touch a -30\r\n", b"touch a -1\r\n"),
        (b"touch a -30 noreply\r\n", b"touch a -1\r\n"),
        (b"delete a 0\r\n", b"delete a\r\n"),
        (b"delete a 0 noreply\r\n", b"delete a\r\n"),
        (b" delete  a  0 \r\n", b"delete a\r\n"),
        (b"incr  a 1 \r\n", b"incr a 1\r\n"),
        (b"incr a 1  noreply\r\n", b"incr a 1\r\n"),
        (b"flush_all 0\r\n", b"flush_all\r\n"),
        (b"flush_all 0 noreply\r\n", b"flush_all\r\n"),
        (b"flush_all  noreply \r\n", b"flush_all\r\n"),
        (b"verbosity  1\r\n", b"verbosity 1\r\n"),
        (b"version  \r\n", b"version\r\n"),
        (b"version 1\r\n", b"version\r\n"),
        (b"mn x y\r\n", b"mn\r\n"),
        (b"stats  items \r\n", b"stats items\r\n"),
        (b" stats detail  dump\r\n", b"stats detail dump\r\n"),
        (b"stats cachedump 1  2 \r\n", b"stats cachedump 1 2\r\n"),
        *((block(verb, b" k  0 0 %d ", b"a\r\n"), block(verb, b"k 0 0 %d", b"a\r\n")) for verb in STORAGE),
        *((block(verb, b"k 0 -5 %d"), block(verb, b"k 0 -1 %d")) for verb in STORAGE),
        *((block(verb, b"k 0 -2147483648 %d", end=b"  noreply "), block(verb, b"k 0 -1 %d")) for verb in STORAGE),
    ],
    ids=repr,
)
def test_other_spellings_are_made_canonical(frame, canonical):
    outcome = play_every_way(text(), frame + b"mn\r\n")
    reply = play_every_way(text(), canonical).received
    expected = b"" if b"noreply" in frame else reply
    assert (outcome.upstream, outcome.received) == (canonical + b"mn\r\n", expected + b"MN\r\n")
    assert (outcome.end, outcome.refusals) == ("open", [])


def test_a_value_is_never_looked_into():
    """Case 18, and the values that look like commands."""
    for value in (b"END\r\nVALUE x 0 1\r\n", b"flush_all\r\n", b"\n", b"\r", b"noreply\r\n", bytes(range(256))):
        frame = block(b"set", b"k 0 0 %d", value)
        outcome = play_every_way(text(), frame * 2)
        assert (outcome.upstream, outcome.received) == (frame * 2, b"STORED\r\n" * 2)


def test_quit_closes_without_an_answer_and_without_going_up():
    for line in (b"quit\r\n", b"quit  \r\n", b"quit noreply\r\n"):
        outcome = play_every_way(text(), b"set b 0 0 1\r\nx\r\nget b\r\n" + line + b"get b\r\nflush_all\r\n")
        assert outcome.upstream == b"set b 0 0 1\r\nx\r\nget b\r\n"
        assert outcome.received.startswith(b"STORED\r\nVALUE b ") and outcome.received.endswith(b"\r\nEND\r\n")
        assert (outcome.end, outcome.refusals) == ("closed", [])


@pytest.mark.parametrize("window", [1, 2, 7, 1000])
def test_replies_and_refusals_come_in_the_order_of_the_requests(window):
    """However much is in flight."""
    data = (
        b"get a b\r\nnonsense\r\nget a\r\nget b c\r\nset k 0 0 1\r\nx\r\ndelete noreply\r\nstats\r\n\r\n"
        b"set " + b"K" * 251 + b" 0 0 4\r\nmn\r\n\r\nmn\r\nflush_all 10\r\nincr a 1 noreply\r\nversion\r\nquit\r\n"
    )
    outcome = play_every_way(text(), data, window=window)
    value = b"b\r\nEND\r\nVALUE x 0 1\r\n"
    hit = b"VALUE b 7 %d\r\n%s\r\n" % (len(value), value)
    assert outcome.received == (
        hit + b"END\r\nERROR\r\nEND\r\n" + hit + b"END\r\nSTORED\r\n"
        b"CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"
        b"STAT pid 1\r\nSTAT version 1.6.18\r\nEND\r\nERROR\r\n"
        b"CLIENT_ERROR bad command line format\r\nMN\r\n"
        b"CLIENT_ERROR flush_all with a delay is not supported\r\nVERSION 1.6.18\r\n"
    )
    assert outcome.end == "closed"


def test_a_run_of_gets_is_one_request():
    outcome = play_every_way(text(), b"get a\r\n" * 50 + b"gets a\r\nget a\r\n", splits=[])
    assert outcome.requests == [b"get a\r\n" * 50, b"gets a\r\n", b"get a\r\n"]
    assert outcome.received == b"END\r\n" * 52


@pytest.mark.parametrize("window", [1, 3, 10])
def test_a_run_is_no_more_than_there_is_room_for(window):
    outcome = play_every_way(text(), b"get a\r\nget b c\r\n" * 20, window=window, splits=range(0, 360, 7))
    whole = play_every_way(text(), b"get a\r\nget b c\r\n" * 20, splits=[])
    assert outcome.received == whole.received


PREFIXED = ("read write touch counter delete", ("app:*",))


def test_only_whole_vetted_lines_go_up():
    """Case 62: every truncation of a granted line and one that is not."""
    data = b"get app:a\r\nget app:b x:c\r\n"
    for length in range(len(data) + 1):
        outcome = play_every_way(text(PREFIXED), data[:length])
        assert outcome.upstream == (b"get app:a\r\n" if length >= 11 else b"")
        denied = b"CLIENT_ERROR access denied\r\n" if length == len(data) else b""
        assert outcome.received == (answer(b"get app:a\r\n") if length >= 11 else b"") + denied
        assert outcome.end == ("open" if length in (0, 11, len(data)) else "unfinished")


@pytest.mark.parametrize(
    "frame",
    [
        b"get app:a app:b app:c\r\n",
        b"gats 10 app:a app:b\r\n",
        b"get app:1 app:2 app:3 app:4 app:5 app:6 app:7 app:8 app:9\r\n",
        b"set app:a 0 0 5 noreply\r\napp:a\r\n",
        b"cas app:a 0 0 5 18446744073709551615\r\nhello\r\n",
        b"incr app:a 18446744073709551615 noreply\r\n",
        b"delete app:a\r\n",
        b"touch app:a 2147483647\r\n",
    ],
    ids=repr,
)
def test_no_truncation_of_a_line_is_a_shorter_request(frame):
    """On every Python: 3.11.2 over-matches possessive groups."""
    for length in range(1, len(frame)):
        outcome = play_every_way(text(PREFIXED), frame[:length], splits=[length // 2])
        assert (outcome.upstream, outcome.received, outcome.end) == (b"", b"", "unfinished")
