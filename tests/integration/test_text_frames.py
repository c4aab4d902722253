"""Text frames (cases 1 to 19): what is not exactly one canonical, granted command never reaches memcached.

Each conversation is held whole, byte by byte and cut in two at the places where parsers go wrong.
"""

import time
from dataclasses import dataclass, field

import pytest

from tests.support.conversation import CLIENT_ERROR, DENIED, ERROR, Expected, Line, play
from tests.support.cutting import WAYS, cuts, listener_for
from tests.support.proxy import Proxy
from tests.support.tap import Tap

STORAGE = ["set", "add", "replace", "append", "prepend", "cas"]
LONG = b"k" * 251
SWALLOWED = b"version"
MIB = 1 << 20


@dataclass
class Case:
    name: str
    sent: bytes
    expected: list[Expected] = field(default_factory=list)
    closes: bool = False
    upstream: list[str] = field(default_factory=list)
    user: str = "root"


def storage(verb: str, key: bytes = b"k", middle: bytes = b"0 0", length: bytes = b"7", more: bytes = b"") -> bytes:
    """A storage line and the block "version"; `more` stands at the line's end."""
    unique = b" 1" if verb == "cas" else b""
    return b"%s %s %s %s%s%s\r\n" % (verb.encode(), key, middle, length, unique, more) + SWALLOWED + b"\r\n"


def malformed_storage() -> list[Case]:
    cases = []
    for verb in STORAGE:
        for name, frame in {
            "key of 251": storage(verb, LONG),
            "key of 1000": storage(verb, b"k" * 1000),
            "flags not a number": storage(verb, middle=b"x 0"),
            "flags above 32 bits": storage(verb, middle=b"4294967296 0"),
            "flags with a sign": storage(verb, middle=b"+1 0"),
            "expiry not a number": storage(verb, middle=b"0 x"),
            "expiry above 31 bits": storage(verb, middle=b"0 4294967297"),
            "expiry that wraps around to 1": storage(verb, middle=b"0 4294967297"),
            "tab in the key": storage(verb, b"a\tb"),
            "NUL in the key": storage(verb, b"a\0b"),
        }.items():
            cases.append(Case(f"{verb}: {name}", frame, [CLIENT_ERROR]))
            if name == "key of 251":
                with_noreply = frame.replace(b"\r\nversion", b" noreply\r\nversion")
                cases.append(Case(f"{verb}: {name}, noreply", with_noreply))
        for length in (b"-1", b"+7", b"0x7", b"7x", b"07", b"x"):
            frame = storage(verb, length=length)
            cases.append(Case(f"{verb}: length {length.decode()}", frame, [CLIENT_ERROR], closes=True))
        cases.append(Case(f"{verb}: no length", f"{verb} k 0 0\r\nversion\r\n".encode(), [ERROR], closes=True))
        for length in (b"4294967303", b"2147483647", b"1073741825", b"18446744073709551623"):
            frame = storage(verb, length=length)
            cases.append(Case(f"{verb}: length {length.decode()}", frame, [Line(b"")], closes=True))
        short = storage(verb, length=b"3").replace(SWALLOWED, b"abcXXversion")
        cases.append(Case(f"{verb}: bad data chunk", short, [Line(b"CLIENT_ERROR bad data chunk")], closes=True))
        quiet = short.replace(b"\r\nabc", b" noreply\r\nabc")
        cases.append(Case(f"{verb}: bad data chunk, noreply", quiet, closes=True))
    unique = b"cas k 0 0 7 %s\r\nversion\r\n"
    cases += [
        Case(f"cas: unique {bad!r}", unique % bad, [CLIENT_ERROR]) for bad in (b"x", b"-1", b"18446744073709551616")
    ]
    return cases


def malformed_lines() -> list[Case]:
    cases = []
    for key in [b"a%cb" % byte for byte in (*range(0x0A), *range(0x0B, 0x20), 0x7F)] + [LONG]:
        name = key.decode() if key != LONG else "of 251"
        for line in (
            b"get %s",
            b"gets x %s",
            b"gat 0 %s y",
            b"gats 0 %s",
            b"get %s noreply",
            b"delete %s",
            b"incr %s 1",
        ):
            cases.append(Case(f"key {name!r}: {line.decode()}", line % key + b"\r\n", [CLIENT_ERROR]))
        if len(cases) > 60:  # the rest with `get` and `touch` alone; the parser's unit tests have every pair
            cases = [*cases[:-7], cases[-7], Case(f"key {name!r}: touch", b"touch %s 0\r\n" % key, [CLIENT_ERROR])]
    good_and_bad = b"get a " + LONG + b" b\r\n"
    cases += [
        Case("one bad key in a multi-get", good_and_bad, [CLIENT_ERROR]),
        Case("touch a noreply", b"touch a noreply\r\n", [CLIENT_ERROR]),
        Case("delete noreply", b"delete noreply\r\n", [CLIENT_ERROR]),
        Case("delete noreply noreply", b"delete noreply noreply\r\n", [CLIENT_ERROR]),
        Case("delete with a word", b"delete a junk\r\n", [CLIENT_ERROR]),
        Case("a command that is none", b"boguscmd noreply\r\n", [ERROR]),
        Case("upper case", b"GET a\r\n", [ERROR]),
        Case("get of nothing", b"get\r\n", [ERROR]),
        Case("gat of nothing", b"gat 0\r\n", [Line(b"")]),
        Case("incr by a word", b"incr a x\r\n", [CLIENT_ERROR]),
        Case("incr by +1", b"incr a +1\r\n", [CLIENT_ERROR]),
        Case("incr by -1", b"incr a -18446744073709551615\r\n", [CLIENT_ERROR]),
        Case("decr by 2^64", b"decr a 18446744073709551616\r\n", [CLIENT_ERROR]),
        Case("touch with 2^31", b"touch a 2147483648\r\n", [CLIENT_ERROR]),
        Case("gat with 2^32 + 1", b"gat 4294967297 a\r\n", [CLIENT_ERROR]),
        Case("flush_all later", b"flush_all 1000\r\n", [CLIENT_ERROR]),
        Case("empty line", b"\r\n", [ERROR]),
        Case("bare line feed", b"get a\n", [Line(b"CLIENT_ERROR line must end in")], closes=True),
        Case("bare line feed, storage", b"set k 0 0 3\nabc\r\n", [Line(b"CLIENT_ERROR line must end in")], closes=True),
        Case("CR CR LF", b"get a\r\r\n", [CLIENT_ERROR]),
        Case("no line end in 2,049 bytes", b"x" * 2049, [Line(b"")], closes=True),
        Case("the same, a storage line", b"set " + b"k" * 2049, [Line(b"")], closes=True),
        Case("1,001 keys", b"get" + b" a" * 1001 + b"\r\n", [CLIENT_ERROR], closes=True),
        Case("gat of 1,001 keys", b"gat 0" + b" a" * 1001 + b"\r\n", [CLIENT_ERROR], closes=True),
        Case("HTTP", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", closes=True),
    ]
    return cases


def refused_commands() -> list[Case]:
    """What an ordinary user may not, whatever the reply says: refused, and memcached never hears of it (case 17)."""
    return [Case(line, line.encode() + b"\r\n", user="sammy") for line in REFUSED]


REFUSED = [
    *("watch", "watch fetchers", "shutdown", "shutdown graceful", "slabs reassign 1 2", "slabs automove 0"),
    *("lru_crawler metadump all", "lru_crawler mgdump all", "lru_crawler crawl all", "lru mode flat"),
    *("stats", "stats items", "stats slabs", "stats settings", "stats conns", "stats sizes", "stats sizes_enable"),
    *("stats reset", "stats detail on", "stats detail dump", "stats cachedump 1 10", "stats r", "stats s", "stat"),
    *("verbosity 1", "refresh_certs", "cache_memlimit 64", "extstore free_memchunks 1 1", "flush_all", "flush_all 0"),
    *("misbehave", "debugtime p", "bget app:a", "mg x:a v", "md x:a", "ma x:a", "me app:a"),
]


def conversation(proxy: Proxy, tap: Tap, case: Case, way: str) -> None:
    for pieces in cuts(case.sent, way):
        tap.recording.forget()
        with proxy.logged_in(case.user, listener_for(way)) as connection:
            play(connection, case.sent, case.expected, pieces=pieces, closes=case.closes)
        assert [frame.verb for frame in tap.recording.requests()] == case.upstream


def named(cases: list[Case]) -> list[object]:
    return [pytest.param(case, id=case.name.strip()) for case in cases]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", named(malformed_storage()))
def test_malformed_storage_line(proxy: Proxy, tap: Tap, case: Case, way: str) -> None:
    conversation(proxy, tap, case, way)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", named(malformed_lines()))
def test_malformed_line(proxy: Proxy, tap: Tap, case: Case, way: str) -> None:
    conversation(proxy, tap, case, way)


@pytest.mark.parametrize("case", named(refused_commands()))
def test_refused_from_an_ordinary_user(proxy: Proxy, tap: Tap, case: Case) -> None:
    with proxy.logged_in(case.user) as connection:
        connection.send(case.sent)
        answer = connection.line()
        assert answer.startswith((b"ERROR", b"CLIENT_ERROR")), f"{answer!r}\n{connection}"
        connection.in_step()
    assert tap.recording.requests() == []


@pytest.mark.parametrize("verb", STORAGE)
@pytest.mark.parametrize("surplus", [b" junk", b" 2 3 4", b" noreply noreply", b" 1 noreply x"])
def test_surplus_words_of_a_storage_line(proxy: Proxy, tap: Tap, verb: str, surplus: bytes) -> None:
    """One error; then the block was swallowed or the connection ends, but it is never run."""
    with proxy.logged_in() as connection:
        connection.send(storage(verb, more=surplus) + b"mn\r\n")
        assert connection.line().startswith((b"ERROR\r\n", b"CLIENT_ERROR ")), str(connection)
        assert connection.line() in (b"", b"MN\r\n"), str(connection)
    assert tap.recording.requests() == []


def test_a_flush_that_is_not_granted_follows_a_get(proxy: Proxy, tap: Tap) -> None:
    with proxy.logged_in("sammy") as connection:
        play(connection, b"get app:a\r\nflush_all\r\n", [b"END\r\n", DENIED])
    assert [frame.verb for frame in tap.recording.requests()] == ["get"]


SPELLINGS = {
    b" get  a": b"END\r\n",
    b"get a  b ": b"END\r\n",
    b"  set  k  0  0  1 \r\nx": b"STORED\r\n",
    b"set k 0 -2147483648 1\r\nx": b"STORED\r\n",
    b"touch k -5": b"TOUCHED\r\n",
    b"delete a 0": b"NOT_FOUND\r\n",
    b"delete a 0 noreply": b"",
    b"delete a noreply": b"",
    b"incr a 1 noreply": b"",
    b"set k 0 0 1 noreply\r\nx": b"",
    b"flush_all 0": b"OK\r\n",
    b"flush_all noreply": b"",
    b"flush_all 0 noreply": b"",
    b"verbosity 1": b"OK\r\n",
    b"verbosity 1 noreply": b"",
    # memccapable holds every server to these:
    b"version": b"VERSION 1.6.18\r\n",
    b"version foo bar": b"VERSION 1.6.18\r\n",
    b"version noreply": b"VERSION 1.6.18\r\n",
    b"verbosity noreply": b"",
    b"verbosity foo bar my": ERROR,
    b"stats noreply": ERROR,
    b"delete a b c d e": ERROR,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "line", [pytest.param(line, id=line.decode()) for line in SPELLINGS if line != b"set k 0 -0 1\r\nx"]
)
def test_other_spellings_are_made_canonical(proxy: Proxy, line: bytes, way: str) -> None:
    for pieces in cuts(line + b"\r\n", way):
        with proxy.logged_in(listener=listener_for(way)) as connection:
            if line.startswith(b"touch"):
                play(connection, b"set k 0 0 1\r\nx\r\n", b"STORED\r\n")
            play(connection, line + b"\r\n", SPELLINGS[line], pieces=pieces)


@pytest.mark.parametrize("sent", [b" " * 3000 + b"\r\n", b"get" + b" " * 60_000 + b"a\r\n", b"\r\n" * 3000], ids=len)
def test_much_of_nothing_gets_a_bounded_reply(proxy: Proxy, tap: Tap, sent: bytes) -> None:
    with proxy.logged_in() as connection:
        connection.send(sent)
        connection.finish_sending()
        assert len(connection.rest()) <= 7 * 3000
    assert [frame.raw for frame in tap.recording.requests()] in ([], [b"get a\r\n"])


def test_malformed_lines_are_answered_before_the_connection_ends(proxy: Proxy) -> None:
    """An error that closes comes after the replies of what was asked before it, and is not lost to a reset."""
    for _ in range(20):
        with proxy.logged_in() as connection:
            value = b"v" * 100_000
            play(connection, b"set k 0 0 %d\r\n%s\r\n" % (len(value), value), b"STORED\r\n")
            block = b"VALUE k 0 %d\r\n%s\r\nEND\r\n" % (len(value), value)
            sent = b"get k\r\n" * 3 + b"set k 0 0 x\r\n" + b"trailing junk\r\n" * 100
            started = time.monotonic()
            play(connection, sent, [block * 3, CLIENT_ERROR], closes=True)
            assert time.monotonic() - started < 5


def test_the_block_of_a_meta_set_is_no_command(proxy: Proxy) -> None:
    with proxy.logged_in("root") as connection:
        play(connection, b"set z 0 0 1\r\n1\r\n", b"STORED\r\n")
        refused = b"CLIENT_ERROR invalid flag\r\n"
        play(connection, b"ms k 9 E1\r\nflush_all\r\nget z\r\n", [refused, b"VALUE z 0 1\r\n1\r\nEND\r\n"])
    for line in (b"ms k\r\n", b"ms k x\r\n", b"ms k -1\r\n"):
        with proxy.logged_in("root") as connection:
            connection.send(line + b"flush_all\r\n")
            assert connection.line() == b"CLIENT_ERROR bad command line format\r\n"
            connection.expect_closed()
    with proxy.logged_in("root") as connection:
        play(connection, b"get z\r\n", b"VALUE z 0 1\r\n1\r\nEND\r\n")
