"""The judge's reading of meta commands and administration lines, held to the tables that it was written from.

Where the judge spells a rule out byte by byte, these tests have it as a table of lines, or as the grammar's own
regular expression: a judge that takes too much would hide what it is there to find.
"""

import base64
import re

import pytest

from tests.support.canonical import READINGS, NotCanonical, Stream
from tests.support.canonical_meta import COLUMNS, read_base64

U32 = "4294967295"
U64 = "18446744073709551615"

META = [
    "mg a",
    "mg noreply v",
    f"mg {'k' * 250} k v",
    "mg \x80\xff v",
    f"mg a k O1 c t s f h l u v T30 N30 R30 C{U64}",
    f"mg Zm9v v C0 R0 N-1 T2147483647 u l h f s t c O{'o' * 31} k b",
    "mg a O",
    "mg b k",
    "md noreply",
    f"md Zm9v b k O0 I T-1 C{U64}",
    "md a I",
    "ma a",
    f"ma Zm9v b k Ox c t v T0 N0 C0 MI D{U64} J0",
    "ma a M+",
    "ma a MD",
    "ma a M-",
    "me a",
    "me Zm9v",
    "me b",
    "mn",
]
NOT_META = [
    "mg",
    "mg a ",
    "mg  a",
    "mg a q",
    "mg a v q",
    "mg a vfoo",
    "mg a v v",
    "mg a T1 T2",
    "mg a T",
    "mg a T+1",
    "mg a T-2",
    "mg a T01",
    "mg a T2147483648",
    "mg a N1x",
    "mg a R",
    "mg a C",
    "mg a C-1",
    "mg a C18446744073709551616",
    f"mg a O{'o' * 32}",
    "mg a Oa\x7f",
    "mg a O\x00",
    "mg a E1",
    "mg a ME",
    "mg a I",
    "mg a D1",
    "mg a F0",
    "mg a x",
    "mg a 1",
    f"mg {'k' * 251} v",
    "mg a\x00 v",
    "mg foo! b",
    "mg Zm9 b",
    "mg Zh== b",
    "mg Zm9vYg==Zm9v b",
    "mg Zm9v bX",
    "mg egBhCg== b",
    "mg eg0KSEQ+ b",
    "mg YSBi b",
    "mg f38= b",
    "mg Zm-_ b",
    f"mg {'A' * 252} b",
    "md",
    "md a T1",
    "md a T1 C1",
    "md a q",
    "md a x",
    "md a MI",
    "md a v",
    "md a N0",
    "ma a M",
    "ma a Mi",
    "ma a MIncr",
    "ma a ME",
    "ma a M+ M-",
    "ma a D",
    "ma a D-1",
    "ma a J18446744073709551616",
    "ma a s",
    "ma a I",
    "ma a q",
    "me",
    "me a b",
    "me a v",
    "me Zm9v b",
    f"me {'k' * 251}",
    "mn a",
    "MG a",
    "mx a",
    "meta a",
]
STORES = ["ms a 3", f"ms Zm9v 3 b k O1 c s T1 N0 C{U64} F{U32} I ME", *(f"ms a 3 M{mode}" for mode in "EAPRS")]
NOT_STORES = [
    "ms a",
    "ms a +3",
    "ms a 03",
    "ms a -1",
    "ms a S3",
    "ms a 1048577",
    "ms a 4294967299",
    "ms a 3 I",
    "ms a 3 q",
    "ms a 3 v",
    "ms a 3 t",
    "ms a 3 F4294967296",
    "ms a 3 F",
    "ms a 3 Me",
    "ms a 3 MSxyz",
    "ms a 3 M",
    "ms a 3 MI",
    "ms a 3 D1",
    "ms a 3 C1 C1",
    "ms a 3 4",
    "ms Zm9 3 b",
    f"ms {'k' * 251} 3",
]
ADMINISTRATION = [
    "stats",
    *(f"stats {word}" for word in ["items", "slabs", "sizes", "settings", "conns", "extstore", "reset"]),
    "stats detail on",
    "stats detail off",
    "stats detail dump",
    "stats cachedump 1 0",
    f"stats cachedump 63 {U32}",
    *(f"verbosity {level}" for level in "012"),
    "cache_memlimit 0",
    f"cache_memlimit {U32}",
    "lru mode flat",
    "lru mode segmented",
    "lru temp_ttl -1",
    "lru temp_ttl 2147483647",
    "lru tune 0 99 0 9999.999999",
    "lru tune 10 25 0.1 2.0",
    *(f"slabs automove {level}" for level in "012"),
    "slabs automove ratio 0.8",
    "slabs reassign -1 0",
    "slabs reassign 99 9",
    "lru_crawler enable",
    "lru_crawler disable",
    f"lru_crawler tocrawl {U32}",
    "lru_crawler sleep 0",
    "lru_crawler crawl all",
    "lru_crawler crawl 0",
    "lru_crawler crawl 1,2,99",
    "lru_crawler metadump all",
    "lru_crawler metadump hash",
    "lru_crawler metadump 1,63",
    "refresh_certs",
    "watch",
    "watch fetchers",
    "watch mutations mutations",
    "watch fetchers mutations evictions connevents deletions proxyreqs proxyevents proxyuser sysevents rawcmds",
    "shutdown",
    "shutdown graceful",
]
NOT_ADMINISTRATION = [
    "stats s",
    "stats r",
    "stats resetxyz",
    "stats items 1",
    "stats reset noreply",
    "stats sizes_enable",
    "stats sizes_disable",
    "stats detail",
    "stats detail o",
    "stats detail on off",
    "stats cachedump",
    "stats cachedump 1",
    "stats cachedump 0 1",
    "stats cachedump 64 1",
    "stats cachedump 01 1",
    "stats cachedump 1 4294967296",
    "stats cachedump 1 1 1",
    "verbosity",
    "verbosity 3",
    "verbosity 01",
    "verbosity 1 noreply",
    "cache_memlimit",
    "cache_memlimit -1",
    "cache_memlimit 4294967296",
    "cache_memlimit 64 noreply",
    "lru",
    "lru mode",
    "lru m flat",
    "lru x 1",
    "lru mode s",
    "lru mode flat flat",
    "lru temp_ttl -2",
    "lru temp_ttl 2147483648",
    "lru temp_ttl 1 1",
    "lru tune 10 25 0.1",
    "lru tune 100 25 0.1 2.0",
    "lru tune 10 -1 0.1 2.0",
    "lru tune 10 25 .1 2.0",
    "lru tune 10 25 0. 2.0",
    "lru tune 10 25 0.1234567 2.0",
    "lru tune 10 25 10000 2.0",
    "lru tune 10 25 1e3 2.0",
    "lru tune 10 25 nan 2.0",
    "lru tune 10 25 0.1 -2.0",
    "lru tune 10 25 0.1.1 2.0",
    "lru tune 10 25 00.1 2.0",
    "lru tune 10 25 0.1 2.0 3",
    "slabs",
    "slabs automove",
    "slabs automove 3",
    "slabs automove 1 1",
    "slabs automove ratio",
    "slabs automove ratio x",
    "slabs automove ratio 0.8 1",
    "slabs reassign 1",
    "slabs reassign -2 1",
    "slabs reassign 1 -1",
    "slabs reassign 1 100",
    "slabs reassign 1 2 3",
    "slabs automov 1",
    "slabs x 1",
    "lru_crawler",
    "lru_crawler enable now",
    "lru_crawler enabl",
    "lru_crawler x 1",
    "lru_crawler tocrawl",
    "lru_crawler tocrawl 4294967296",
    "lru_crawler sleep -1",
    "lru_crawler crawl",
    "lru_crawler crawl hash",
    "lru_crawler crawl 1,",
    "lru_crawler crawl ,1",
    "lru_crawler crawl 1,,2",
    "lru_crawler crawl 1 2",
    "lru_crawler crawl 100",
    "lru_crawler crawl all,1",
    "lru_crawler metadump",
    "lru_crawler metadump a",
    "lru_crawler metadump all all",
    "lru_crawler mgdump all",
    "refresh_certs now",
    "watch all",
    "watch fetcher",
    "watch fetchers all",
    "watch watch",
    "shutdown now",
    "shutdown graceful now",
    "extstore free_memchunks 1 1",
    "extstore",
    "bget a",
    "quit",
    "mgdump all",
    "debugtime p",
    "misbehave",
    "flush_all noreply",
]

# The grammar's table once more, written as it stands there: what each letter takes, and in which verbs' columns.
NOTHING, EXP, OPAQUE = rb"", rb"-1|0|[1-9][0-9]{0,9}", rb"[\x21-\x7e\x80-\xff]{0,31}"
NUMBER = rb"0|[1-9][0-9]{0,19}"
FLAGS: dict[str, dict[str, bytes]] = {
    "mg": {**dict.fromkeys("kctsfhluv", NOTHING), "O": OPAQUE, **dict.fromkeys("TNR", EXP), "C": NUMBER},
    "ms": {**dict.fromkeys("kcs", NOTHING), "O": OPAQUE, **dict.fromkeys("TN", EXP), "C": NUMBER, "F": NUMBER}
    | {"M": rb"[EAPRS]"},
    "md": {"k": NOTHING, "O": OPAQUE, "C": NUMBER, "I": NOTHING},
    "ma": {**dict.fromkeys("kctv", NOTHING), "O": OPAQUE, **dict.fromkeys("TN", EXP), "M": rb"[I+D-]"}
    | dict.fromkeys("CDJ", NUMBER),
}
ARGUMENTS = [b"", b"0", b"1", b"-1", b"-2", b"+1", b"01", b"1x", b"x", *(bytes([byte]) for byte in b"EAPRSID+-eapsid")]


def line(text: str) -> bytes:
    """The line, as it goes up."""
    return text.encode("latin-1") + b"\r\n"


def is_taken(words: list[bytes]) -> bool:
    """What the judge says of a line with these words."""
    try:
        READINGS[words[0]](words)
    except NotCanonical:
        return False
    return True


@pytest.mark.parametrize("text", META + ADMINISTRATION)
def test_the_judge_takes_canonical_lines(text: str) -> None:
    stream = Stream()
    assert [(frame.verb, frame.raw, frame.body) for frame in stream.feed(line(text) * 2)] == [
        (text.split(" ")[0], line(text), b"")
    ] * 2
    stream.end()


@pytest.mark.parametrize("text", NOT_META + NOT_ADMINISTRATION)
def test_the_judge_refuses_everything_else(text: str) -> None:
    with pytest.raises(NotCanonical):
        Stream().feed(line(text))


@pytest.mark.parametrize("text", STORES)
def test_ms_takes_its_block_with_it_at_every_split(text: str) -> None:
    frame = line(text) + b"\r\nE\r\n"
    for at in range(len(frame) + 1):
        stream = Stream()
        read = stream.feed(frame[:at]) + stream.feed(frame[at:] + b"mn\r\n")
        key = b"foo" if " b " in text else b"a"
        assert [(one.verb, one.keys, one.body, one.raw) for one in read[:1]] == [("ms", (key,), b"\r\nE", frame)]
        assert [one.verb for one in read[1:]] == ["mn"]
        stream.end()


@pytest.mark.parametrize("text", NOT_STORES)
def test_the_judge_refuses_a_bent_ms_before_its_block(text: str) -> None:
    with pytest.raises(NotCanonical):
        Stream().feed(line(text))


def test_a_block_that_is_too_short_or_too_long_is_refused() -> None:
    for block in (b"abcd\r\n", b"ab\r\nmn\r\n", b"abc\n\n", b"abc\r\r"):
        with pytest.raises(NotCanonical, match="block"):
            Stream().feed(line("ms a 3") + block)
    short = Stream()
    assert short.feed(line("ms a 3") + b"abc\r") == []
    with pytest.raises(NotCanonical, match="inside of a frame"):
        short.end()


def test_a_line_of_2048_bytes_is_taken_and_one_more_is_not() -> None:
    crawl = b"lru_crawler crawl " + b",".join([b"10"] * 676)
    assert len(crawl) == 2045
    assert len(Stream().feed(crawl + b"\r\n")) == 1
    assert len(Stream().feed(crawl.replace(b"10", b"1", 1) + b",1\r\n")) == 1
    with pytest.raises(NotCanonical, match="more than 2048"):
        Stream().feed(crawl + b",1\r\n")


def test_keys_are_given_out_decoded() -> None:
    for text, key in (("mg Zm9v b", b"foo"), ("mg Zm9v", b"Zm9v"), ("md Zg== k b", b"f"), ("me Zg==", b"Zg==")):
        assert [frame.keys for frame in Stream().feed(line(text))] == [(key,)]


@pytest.mark.parametrize("verb", FLAGS)
def test_each_flag_is_taken_where_its_column_says_and_with_its_argument_alone(verb: str) -> None:
    head = [verb.encode(), b"a", b"3"] if verb == "ms" else [verb.encode(), b"a"]
    taken = 0
    for byte in range(256):
        letter = bytes([byte])
        pattern = FLAGS[verb].get(letter.decode("latin-1"))
        for argument in ARGUMENTS:
            expected = pattern is not None and re.fullmatch(pattern, argument) is not None
            assert is_taken([*head, letter + argument]) == expected, (verb, letter + argument)
            assert not (expected and is_taken([*head, letter + argument, letter + argument])), (verb, letter)
            taken += expected
    assert taken >= len(FLAGS[verb])


def test_the_flags_that_need_another_one() -> None:
    assert is_taken([b"ms", b"a", b"3", b"I", b"C1"]) and is_taken([b"ms", b"a", b"3", b"C1", b"I"])
    assert is_taken([b"md", b"a", b"T1", b"I"]) and is_taken([b"md", b"a", b"I", b"T1"])
    assert not is_taken([b"ms", b"a", b"3", b"I", b"T1"]) and not is_taken([b"md", b"a", b"T1", b"C1"])


def test_the_columns_are_as_long_as_the_lines_of_the_grammar_say() -> None:
    assert {verb: len(column) for verb, column in COLUMNS.items()} == {b"mg": 15, b"ms": 11, b"md": 6, b"ma": 12}


def test_base64_is_read_in_its_one_canonical_spelling() -> None:
    grammar = re.compile(
        rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)"
    )
    for size in range(1, 187):
        content = bytes((size * 7 + at * 31) % 256 for at in range(size))
        assert read_base64(base64.b64encode(content)) == content
    for head in (b"", b"Zm9v"):
        for third in range(256):
            for last in (b"=", b"A", b"-", b""):
                for token in (head + b"Zm" + bytes([third]) + last, head + b"Z" + bytes([third]) + b"=" + last):
                    if grammar.fullmatch(token):
                        assert read_base64(token) == base64.b64decode(token, validate=True)
                    else:
                        with pytest.raises(NotCanonical):
                            read_base64(token)
    with pytest.raises(NotCanonical):
        read_base64(b"")
    with pytest.raises(NotCanonical):
        read_base64(base64.b64encode(b"x" * 187))
