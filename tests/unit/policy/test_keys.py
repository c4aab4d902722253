"""Sets of keys: the pattern, the union and the intersection, each against a naive reading of the same words."""

import random
import re
import time

import pytest

from mcproxy.policy.keys import KeySet

ALPHABET = [
    b"a",
    b"b",
    b"ab",
    b":",
    b"/",
    b".",
    b"+",
    b"(",
    b"[",
    b"\\",
    b"^",
    b"$",
    b"|",
    b"-",
    b"\x80",
    b"\xff",
    b"#",
    b"~",
    b"!",
]


def is_key(key: bytes) -> bool:
    return 1 <= len(key) <= 250 and all(0x20 < byte != 0x7F for byte in key)


def is_in(keys: KeySet, key: bytes) -> bool:
    """What the words say."""
    return is_key(key) and (key in keys.exact or any(key.startswith(prefix) for prefix in keys.prefixes))


def matcher(keys: KeySet):
    pattern = keys.pattern()
    return (lambda key: None) if pattern is None else re.compile(pattern).fullmatch


def some_text(chosen: random.Random, longest: int) -> bytes:
    return b"".join(chosen.choice(ALPHABET) for _ in range(chosen.randint(0, longest)))


def some_keys(chosen: random.Random) -> KeySet:
    exact = {some_text(chosen, 4) or b"x" for _ in range(chosen.choice([0, 0, 1, 2, 5, 20]))}
    prefixes = {some_text(chosen, 3) or b"y" for _ in range(chosen.choice([0, 0, 1, 2, 5]))}
    if chosen.random() < 0.05:
        prefixes.add(b"")
    return KeySet(frozenset(exact), frozenset(prefixes))


def candidates(chosen: random.Random, *sets: KeySet) -> list[bytes]:
    """Random keys, and those just inside and just outside of the sets."""
    found = [some_text(chosen, 5) for _ in range(15)]
    for keys in sets:
        for text in [*keys.exact, *keys.prefixes]:
            found += [
                text,
                text + b"a",
                text + b"~",
                text[:-1],
                text[:-1] + b"b",
                text + b" ",
                text + b"\n",
                b"a" + text,
            ]
            found.append(text + b"z" * (250 - len(text)))
            found.append(text + b"z" * (251 - len(text)))
    return found


@pytest.mark.parametrize("seed", range(12))
def test_the_pattern_matches_just_the_keys(seed):
    chosen = random.Random(seed)
    count = 0
    for _ in range(15):
        keys = some_keys(chosen)
        matches = matcher(keys)
        for key in candidates(chosen, keys):
            assert (matches(key) is not None) is is_in(keys, key), (keys, key)
            count += 1
    assert count > 200


@pytest.mark.parametrize("seed", range(12))
def test_union_and_intersection(seed):
    chosen = random.Random(1000 + seed)
    for _ in range(15):
        one, other = some_keys(chosen), some_keys(chosen)
        both, either = matcher(one & other), matcher(one | other)
        for key in candidates(chosen, one, other):
            in_one, in_other = is_in(one, key), is_in(other, key)
            assert (both(key) is not None) is (in_one and in_other), (one, other, key)
            assert (either(key) is not None) is (in_one or in_other), (one, other, key)
            if is_key(key):
                assert (key in (one & other)) is (in_one and in_other)
                assert (key in (one | other)) is (in_one or in_other)


@pytest.mark.parametrize(
    ("entries", "inside", "outside"),
    [
        (
            ["app:*"],
            [b"app:", b"app:a", b"app:" + b"k" * 246],
            [b"app", b"App:", b"xapp:a", b"app:" + b"k" * 247, b"app: "],
        ),
        (["app"], [b"app"], [b"ap", b"app:", b"appp", b""]),
        (["app", "app:*"], [b"app", b"app:", b"app:x"], [b"ap", b"appx"]),
        (["app:*", "app:x:*", "app:x"], [b"app:", b"app:x", b"app:x:y", b"app:z"], [b"app"]),
        (["a", "ab", "abc*"], [b"a", b"ab", b"abc", b"abcd"], [b"abd", b"ac", b"b"]),
        (["*"], [b"a", b"\xff" * 250, b"!"], [b"", b" ", b"a\n", b"\x7f", b"k" * 251]),
        (["*", "x", "y*"], [b"a", b"x", b"y", b"yy"], [b"", b"k" * 251]),
        (["ünï*"], ["ünïx".encode()], [b"\xfcn\xef"]),
        (["a.c*", "[x]", "a|b", "^$"], [b"a.c", b"a.cd", b"[x]", b"a|b", b"^$"], [b"abc", b"x", b"a", b"b", b""]),
        ([], [], [b"", b"a"]),
    ],
)
def test_as_written(entries, inside, outside):
    keys = KeySet.of(entries)
    matches = matcher(keys)
    assert [key for key in inside if not matches(key)] == []
    assert [key for key in outside if matches(key)] == []


def test_no_keys_have_no_pattern():
    assert KeySet().pattern() is None
    assert not KeySet() and not KeySet.of([])
    assert (KeySet.of(["a*"]) & KeySet.of(["b*"])).pattern() is None
    assert KeySet.of(["*"])


def test_a_prefix_of_250_bytes_is_a_key():
    keys = KeySet.of(["k" * 250 + "*"])
    matches = matcher(keys)
    assert [length for length in range(245, 255) if matches(b"k" * length)] == [250]
    assert not matches(b"k" * 249 + b"x")


def test_every_length_of_one_text():
    """250 branches, each within the one before: the deepest pattern there is."""
    matches = matcher(KeySet.of(["k" * length for length in range(1, 251)]))
    assert [length for length in range(0, 260) if matches(b"k" * length)] == list(range(1, 251))
    matches = matcher(KeySet.of([*("k" * length + "x" for length in range(0, 250)), "k" * 249 + "*"]))
    assert [length for length in range(0, 260) if matches(b"k" * length)] == [249, 250]
    assert all(matches(b"k" * length + b"x") for length in range(0, 250))


def test_a_thousand_prefixes():
    """They cost no more than a few: plain alternation takes 2 us a key, and a match must not walk all of them."""
    chosen = random.Random(7)
    entries = ["".join(chosen.choice("abcdefghij:/") for _ in range(12)) + "*" for _ in range(1000)]
    keys = KeySet.of(entries)
    matches = matcher(keys)
    texts = [entry[:-1].encode() + b":%d" % number for number, entry in enumerate(entries)]
    others = [text[:5] + b"X" + text[6:] for text in texts]
    assert all(matches(text) for text in texts)
    assert not any(matches(text) for text in others)
    few = matcher(KeySet.of(entries[:4]))

    def cost(matching, sample):
        return min(timed(matching, sample) for _ in range(5))

    def timed(matching, sample):
        start = time.perf_counter()
        for text in sample:
            matching(text)
        return time.perf_counter() - start

    assert cost(matches, texts) < 20 * cost(few, texts[:4] * 250)


@pytest.mark.parametrize("entry", ["", "a*b", "**", "a**", "*a", "k" * 251, "k" * 251 + "*", "k" * 300])
def test_what_is_no_key_and_no_prefix(entry):
    with pytest.raises(ValueError, match="not a key or a prefix"):
        KeySet.of(["good", entry])


@pytest.mark.parametrize("text", [" ", "a b", "a\tb", "a\r\nflush_all", "a\0", "\x7f", "a\n", "\x1f"])
def test_no_entry_puts_other_bytes_into_the_pattern(text):
    """An entry with a blank or a line end would make a pattern that matches two words, or two lines."""
    for entry in (text, text + "*"):
        with pytest.raises(ValueError, match="not a key or a prefix"):
            KeySet.of([entry])
