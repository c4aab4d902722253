"""Text commands that may not go upstream: memcached's own words for each mistake, and the connection stays in step.

Every refused frame has a command behind it: it is answered if the frame's end was known, and is never run if not.
"""

import pytest

from tests.unit.wire.driving import play_every_way
from tests.unit.wire.granting import text

ERROR = b"ERROR\r\n"
FORMAT = b"CLIENT_ERROR bad command line format\r\n"
CHUNK = b"CLIENT_ERROR bad data chunk\r\n"
DELTA = b"CLIENT_ERROR invalid numeric delta argument\r\n"
EXPTIME = b"CLIENT_ERROR invalid exptime argument\r\n"
USAGE = b"CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n"
DENIED = b"CLIENT_ERROR access denied\r\n"
LINE_END = b"CLIENT_ERROR line must end in \\r\\n\r\n"
TOO_LARGE = b"SERVER_ERROR object too large for cache\r\n"
STORAGE = [b"set", b"add", b"replace", b"append", b"prepend", b"cas"]
LONG = b"k" * 251
BAD_KEYS = [b"a%cb" % byte for byte in (*range(0x0A), *range(0x0B, 0x20), 0x7F)] + [b"\0", b"a\x7f", b"\x1bb", LONG]


# Of flags and exptime.
BAD_NUMBERS = [b"x 0", b"0 x", b"-1 0", b"+1 0", b"0x0 0", b"4294967296 0", b"0 2147483648", b"0 4294967297", b"0 \0"]
BAD_NUMBERS += [b"0 --1", b"0 -", b"0 -1x", b"0 +1", b"0 0x1", b"0 1.5"]
BAD_LENGTHS = [
    b"-1",
    b"-2",
    b"+7",
    b"07",
    b"0x7",
    b"7x",
    b"x",
    b"1.",
    b"\0",
    b"1073741825",
    b"2147483646",
    b"2147483647",
]
BAD_LENGTHS += [b"4294967303", b"18446744073709551623", b"-18446744073709551609", b"9" * 100]


def refused(frame: bytes, reply: bytes, *, reason: str = "", make_parser=None, denied: str = "") -> None:
    """The frame has this one answer, nothing of it goes up, and the next frame is read as one."""
    splits = range(1, len(frame) + 4, 7) if len(frame) > 200 else None
    outcome = play_every_way(make_parser or text(), frame + b"mn\r\n", splits=splits)
    assert (outcome.upstream, outcome.received, outcome.end) == (b"mn\r\n", reply + b"MN\r\n", "open")
    assert len(outcome.refusals) == 1 and outcome.refusals[0][1] == denied
    assert not reason or outcome.refusals[0][0] == reason


def ended(frame: bytes, reply: bytes, *, reason: str = "", make_parser=None) -> None:
    """The frame has this one answer, which is the connection's last."""
    alone = play_every_way(make_parser or text(), frame)
    assert (alone.upstream, alone.received, alone.end) == (b"", reply, "closed")
    outcome = play_every_way(make_parser or text(), b"mn\r\n" + frame + b"mn\r\nversion\r\n")
    assert (outcome.upstream, outcome.received, outcome.end) == (b"mn\r\n", b"MN\r\n" + reply, "closed")
    assert len(outcome.refusals) == 1
    assert not reason or outcome.refusals[0][0] == reason


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"", ERROR),
        (b"  ", ERROR),
        (b"boguscmd", ERROR),
        (b"boguscmd noreply", ERROR),
        (b"GET a", ERROR),
        (b"Version", ERROR),
        (b"get\0a", ERROR),
        (b"\x80", ERROR),
        (b"geta", ERROR),
        (b"bget a", ERROR),
        (b"get", ERROR),
        (b"gets  ", ERROR),
        (b"gat", ERROR),
        (b"gat 0", ERROR),
        (b"gats -1", ERROR),
        (b"gat a b", EXPTIME),
        (b"gat 2147483648 a", EXPTIME),
        (b"gats 4294967297 a", EXPTIME),
        (b"gat --1 a", EXPTIME),
        (b"gat - a", EXPTIME),
        (b"gat +1 a", EXPTIME),
        (b"incr", ERROR),
        (b"incr a", ERROR),
        (b"incr a 1 2", ERROR),
        (b"incr a 1 noreply x", ERROR),
        (b"decr a 1 2 3 4", ERROR),
        (b"incr a noreply", DELTA),
        (b"incr a x", DELTA),
        (b"incr a -1", DELTA),
        (b"incr a +1", DELTA),
        (b"incr a 0x1", DELTA),
        (b"incr a 1.0", DELTA),
        (b"decr a 18446744073709551616", DELTA),
        (b"decr a -18446744073709551615", DELTA),
        (b"decr a 100000000000000000000", DELTA),
        (b"delete", ERROR),
        (b"delete noreply", USAGE),
        (b"delete noreply 0", USAGE),
        (b"delete noreply noreply", USAGE),
        (b"delete noreply 0 noreply", USAGE),
        (b"delete a junk", USAGE),
        (b"delete a 1", USAGE),
        (b"delete a 00", USAGE),
        (b"delete a 1 noreply", USAGE),
        (b"delete a noreply noreply", USAGE),
        (b"delete a 0 0 noreply", ERROR),
        (b"touch", ERROR),
        (b"touch a", ERROR),
        (b"touch a noreply", EXPTIME),
        (b"touch a x", EXPTIME),
        (b"touch a 2147483648", EXPTIME),
        (b"touch a 4294967297", EXPTIME),
        (b"touch a --1", EXPTIME),
        (b"touch a -1x", EXPTIME),
        (b"touch a +1", EXPTIME),
        (b"touch a 1 2", ERROR),
        (b"touch a 1 2 noreply", ERROR),
    ],
    ids=repr,
)
def test_a_malformed_line_has_one_answer(line, reply):
    refused(line + b"\r\n", reply)


@pytest.mark.parametrize("key", BAD_KEYS, ids=lambda key: repr(key[:4]))
def test_a_bad_key_is_refused_everywhere(key):
    for line in (b"get %s", b"gets a %s", b"gat 0 %s b", b"gats 0 a b c d e f g h i %s", b"delete %s", b"incr %s 1"):
        refused(line % key + b"\r\n", FORMAT, reason="bad key")
    for line in (b"decr %s 1 noreply", b"touch %s 0", b"delete %s 0", b"delete %s noreply"):
        refused(line % key + b"\r\n", FORMAT, reason="bad key")
    for verb in STORAGE:
        refused(storage(verb, key), FORMAT, reason="malformed")
        refused(storage(verb, key, more=b" noreply"), b"", reason="malformed")


def storage(verb, key=b"k", middle=b"0 0", length=b"7", more=b"", value=b"version"):
    unique = b" 1" if verb == b"cas" else b""
    return b"%s %s %s %s%s%s\r\n%s\r\n" % (verb, key, middle, length, unique, more, value)


@pytest.mark.parametrize("verb", STORAGE)
def test_bad_numbers_in_a_storage_command(verb):
    """The body is swallowed: memcached 1.6.18 would run it."""
    for middle in BAD_NUMBERS:
        refused(storage(verb, middle=middle), FORMAT)
        refused(storage(verb, middle=middle, more=b" noreply"), b"")
        refused(storage(verb, middle=middle, length=b"0", value=b""), FORMAT)


@pytest.mark.parametrize("unique", [b"x", b"-1", b"+1", b"0x1", b"18446744073709551616", b"noreply"])
def test_bad_cas_unique(unique):
    refused(b"cas k 0 0 7 %s\r\nversion\r\n" % unique, FORMAT)


@pytest.mark.parametrize("verb", STORAGE)
def test_a_length_that_is_none_ends_the_connection(verb):
    """Case 4, 5: where the next frame begins is unknown. The error comes at once, whether or not a body does."""
    for length in BAD_LENGTHS:
        line = storage(verb, length=length).removesuffix(b"version\r\n")
        ended(line, FORMAT, reason="bad length")
        ended(line.replace(b"\r\n", b" noreply\r\n"), FORMAT, reason="bad length")


@pytest.mark.parametrize("verb", STORAGE)
@pytest.mark.parametrize(
    "words", [b"", b"k", b"k 0", b"k 0 0", b"k 0 0 7 1 2", b"k 0 0 7 1 2 3", b"k 0 0 7 1 noreply x"]
)
def test_the_wrong_number_of_words_ends_the_connection(verb, words):
    if verb == b"cas" and words.startswith(b"k 0 0 7 1"):
        words += b" 1"
    ended(verb + b" " + words + b"\r\n", ERROR)


@pytest.mark.parametrize("verb", STORAGE)
def test_a_word_too_many(verb):
    ended(storage(verb, more=b" junk").removesuffix(b"version\r\n"), ERROR)


@pytest.mark.parametrize("verb", STORAGE)
@pytest.mark.parametrize(
    "value", [b"abc", b"abcdefgh", b"abcdefg\n", b"abcdefg\r", b"abcdefg\n\r", b"flush_all\r\nversion"]
)
def test_a_block_of_another_length_ends_the_connection(verb, value):
    """Case 11, 12."""
    frame = storage(verb, value=value)
    ended(frame if len(value) >= 9 else frame + b"flush_all\r\n", CHUNK, reason="bad data chunk")
    quiet = storage(verb, value=value, more=b" noreply")
    ended(quiet if len(value) >= 9 else quiet + b"flush_all\r\n", b"", reason="bad data chunk")


@pytest.mark.parametrize("more", [b"", b" noreply"])
def test_a_block_of_another_length_after_a_refused_line(more):
    """One error is enough, but the connection ends: the client and the proxy disagree."""
    outcome = play_every_way(text(), storage(b"set", LONG, more=more, value=b"version!!flush_all") + b"mn\r\n")
    assert (outcome.upstream, outcome.received) == (b"", b"" if more else FORMAT)
    assert outcome.end == "closed"
    assert [reason for reason, _ in outcome.refusals] == ["malformed", "bad data chunk"]


@pytest.mark.parametrize("frame", [b"\n", b"get a\n", b"set k 0 0 3\nabc\r\n", b"\r\r\n\n", b"version\n"])
def test_a_bare_line_feed_ends_the_connection(frame):
    """Case 9."""
    outcome = play_every_way(text(), b"mn\r\n" + frame + b"mn\r\n")
    assert outcome.upstream == b"mn\r\n"
    assert (outcome.received.endswith(LINE_END), outcome.end) == (True, "closed")


def test_cr_within_a_line_is_part_of_a_word():
    refused(b"get a\r\r\n", FORMAT)
    refused(b"version\r\r\n", ERROR)
    refused(b"get a\rflush_all\r\n", FORMAT)


@pytest.mark.parametrize("frame", [b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.0\r\n", b"x HTTP/\r\n"])
def test_http_is_closed_without_a_word(frame):
    outcome = play_every_way(text(), frame + b"Host: a\r\n\r\nflush_all\r\n")
    assert (outcome.upstream, outcome.received, outcome.end) == (b"", b"", "closed")
    assert outcome.refusals == [("http", "")]


@pytest.mark.parametrize("verb", STORAGE)
def test_a_value_over_the_cap(verb):
    """Case 19: its body is swallowed, up to 1 GiB of it, and never held."""
    refused(storage(verb, length=b"1001", value=b"x" * 1001), TOO_LARGE, reason="value too large")
    refused(storage(verb, length=b"1001", value=b"x" * 1001, more=b" noreply"), b"", reason="value too large")
    up = storage(verb, length=b"1000", value=b"x" * 1000)
    outcome = play_every_way(text(), up, splits=range(1, len(up), 9))
    assert outcome.upstream == up
    largest = storage(verb, length=b"1073741824", value=b"")
    assert play_every_way(text(), largest).end == "unfinished"
    assert play_every_way(text(), largest).received == TOO_LARGE
