"""`overlong_keys: digest`: a key that is too long for memcached has a name that isn't, which the client never sees."""

import hashlib

import pytest

from mcproxy.wire.outcome import WireLimits
from mcproxy.wire.overlong import READABLE, shorten
from tests.unit.wire.answering import answer as answer_as_memcached
from tests.unit.wire.driving import play, play_every_way
from tests.unit.wire.granting import text

BAD_FORMAT = b"CLIENT_ERROR bad command line format\r\n"
DENIED = b"CLIENT_ERROR access denied\r\n"
DIGEST = text(digest_overlong_keys=True)
HIT, ANOTHER_HIT, MISS = (b"app:" + letter * 300 for letter in (b"h", b"j", b"m"))


def name(key: bytes) -> bytes:
    return key[:185] + b":" + hashlib.sha256(key).hexdigest().encode()


def with_hits(*keys: bytes):
    """A memcached in which of all keys just these are found, with the key's own bytes as the value."""
    found = {name(key) if len(key) > 250 else key: key for key in keys}

    def answer(data: bytes) -> bytes:
        verb, *words = data.split(b"\r\n")[0].split(b" ")
        if verb not in (b"get", b"gets", b"gat", b"gats"):
            return answer_as_memcached(data)
        asked = words[1:] if verb.startswith(b"gat") else words
        unique = b" 9" if verb.endswith(b"s") else b""
        blocks = [
            b"VALUE %s 7 %d%s\r\n%s\r\n" % (key, len(found[key]), unique, found[key]) for key in asked if key in found
        ]
        return b"".join(blocks) + b"END\r\n"

    return answer


def value(key: bytes, unique: bytes = b"") -> bytes:
    return b"VALUE %s 7 %d%s\r\n%s\r\n" % (key, len(key), unique, key)


@pytest.mark.parametrize("length", [251, 252, 1023, 1024])
def test_the_name_of_a_key(length):
    key = bytes(range(0x80, 0x100)) * 8
    key = key[:length]
    assert shorten(key, 1024) == name(key)
    assert len(name(key)) == 250 and READABLE == 185


def test_what_has_no_other_name():
    for key in (b"", b"k", b"k" * 250, b"k" * 1025, b"k" * 299 + b"\0", b"k" * 299 + b" ", b"\x7f" + b"k" * 300):
        assert shorten(key, 1024) == key
    assert shorten(b"k" * 251, 0) == b"k" * 251


def test_two_long_keys_have_two_names():
    assert name(b"k" * 251) != name(b"k" * 252)
    assert name(b"k" * 300 + b"a") != name(b"k" * 300 + b"b")


@pytest.mark.parametrize("verb", [b"get", b"gets", b"gat 60", b"gats 60"])
def test_a_retrieval_gives_back_the_clients_own_key(verb):
    unique = b" 9" if verb.split()[0].endswith(b"s") else b""
    line = verb + b" a " + HIT + b" b " + MISS + b" " + ANOTHER_HIT + b" a\r\n"
    outcome = play_every_way(DIGEST, line + b"mn\r\n", answer=with_hits(b"a", HIT, ANOTHER_HIT))
    expected = [value(key, unique) for key in (b"a", HIT, ANOTHER_HIT, b"a")]
    assert outcome.received == b"".join(expected) + b"END\r\nMN\r\n"
    lines = [verb + b" " + keys + b"\r\n" for keys in (b"a", name(HIT), b"b", name(MISS), name(ANOTHER_HIT), b"a")]
    assert outcome.upstream == b"".join(lines) + b"mn\r\n"
    # As few at a time as there is room for.
    assert (
        play(DIGEST, line, answer=with_hits(b"a", HIT, ANOTHER_HIT), window=1).received
        == b"".join(expected) + b"END\r\n"
    )


def test_only_misses():
    outcome = play_every_way(DIGEST, b"get " + MISS + b"\r\nmn\r\n", answer=with_hits())
    assert (outcome.received, outcome.upstream) == (b"END\r\nMN\r\n", b"get " + name(MISS) + b"\r\nmn\r\n")


def test_a_literal_key_that_looks_like_a_name_keeps_its_own():
    line = b"get " + HIT + b" " + name(HIT) + b"\r\n"
    outcome = play_every_way(DIGEST, line, answer=with_hits(HIT), splits=range(1, len(line), 50))
    block = b" 7 %d\r\n%s\r\n" % (len(HIT), HIT)
    assert outcome.received == b"VALUE " + HIT + block + b"VALUE " + name(HIT) + block + b"END\r\n"


def test_a_value_that_looks_like_a_reply_is_left_alone():
    body = b"VALUE " + name(HIT) + b" 0 1\r\nx\r\nEND\r\n"

    def answer(data: bytes) -> bytes:
        return b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (name(HIT), len(body), body)

    outcome = play_every_way(DIGEST, b"get " + HIT + b"\r\n", answer=answer)
    assert outcome.received == b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (HIT, len(body), body)


def test_a_large_value_is_passed_on_under_the_clients_name():
    body = b"VALUE " * 20_000

    def answer(data: bytes) -> bytes:
        return b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (name(HIT), len(body), body)

    for size in (0, 7, 1000):
        outcome = play(DIGEST, b"get " + HIT + b"\r\n", answer=answer, reply_size=size)
        assert outcome.received == b"VALUE %s 0 %d\r\n%s\r\nEND\r\n" % (HIT, len(body), body)


def test_many_long_keys():
    keys = [b"app:%d:" % number + b"x" * 500 for number in range(40)]
    line = b"get " + b" ".join(keys) + b"\r\n"
    outcome = play_every_way(DIGEST, line, answer=with_hits(*keys[::3]), splits=[5, 5000, len(line) - 1])
    assert outcome.received == b"".join(map(value, keys[::3])) + b"END\r\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"set ", b" 0 0 1\r\nx"),
        (b"add ", b" 0 0 1 noreply\r\nx"),
        (b"cas ", b" 0 0 1 7\r\nx"),
        (b"incr ", b" 1"),
        (b"delete ", b""),
        (b"delete ", b" noreply"),
        (b"touch ", b" 60"),
    ],
)
def test_other_commands(before, after):
    line = before + HIT + after + b"\r\n"
    outcome = play_every_way(DIGEST, line + b"mn\r\n")
    short = before + b"a" + after + b"\r\n"
    same = play(DIGEST, short + b"mn\r\n")
    assert outcome.upstream == same.upstream.replace(b" a", b" " + name(HIT), 1)
    assert (outcome.refusals, outcome.end) == ([], "open")


def test_meta_commands():
    def answer(data: bytes) -> bytes:
        verb = data[:2]
        if verb == b"me":
            return b"ME " + name(HIT) + b" exp=-1 la=0 cas=1 fetch=no cls=1 size=300\r\n"
        if verb == b"mg":
            return b"VA 1 O1 k" + name(HIT) + b"\r\nx\r\n"
        return b"HD O1 k" + name(HIT) + b"\r\n"

    for command, reply in (
        (b"mg %s v O1 k\r\n", b"VA 1 O1 k" + HIT + b"\r\nx\r\n"),
        (b"ms %s 1 O1 k\r\nx\r\n", b"HD O1 k" + HIT + b"\r\n"),
        (b"md %s O1 k\r\n", b"HD O1 k" + HIT + b"\r\n"),
        (b"ma %s O1 k\r\n", b"HD O1 k" + HIT + b"\r\n"),
        (b"me %s\r\n", b"ME " + HIT + b" exp=-1 la=0 cas=1 fetch=no cls=1 size=300\r\n"),
    ):
        outcome = play_every_way(DIGEST, command % HIT, answer=answer)
        assert (outcome.upstream, outcome.received) == (command % name(HIT), reply)


def test_a_short_key_of_a_meta_command_is_itself():
    reply = b"VA 1 kfoo\r\nx\r\n"
    assert play_every_way(DIGEST, b"mg foo v k\r\n", answer=lambda data: reply).received == reply


def test_a_key_that_is_not_overlong_is_shown_as_memcached_shows_it():
    """An item that was stored under a base64 key is shown by it, however the client spelled its command."""
    for line, reply in (
        (b"me  n:1\r\n", b"ME bjox exp=-1 la=0 cas=1 fetch=no cls=1 size=63\r\n"),
        (b"mg  n:1  k\r\n", b"HD kbjox b\r\n"),
    ):
        assert play_every_way(DIGEST, line, answer=lambda data, reply=reply: reply).received == reply


def test_a_base64_key_is_not_shortened():
    for line in (b"mg " + b"QUFB" * 70 + b" v b\r\n", b"me " + b"QUFB" * 70 + b" b\r\n"):
        outcome = play_every_way(DIGEST, line + b"mn\r\n", splits=range(1, len(line), 20))
        assert (outcome.upstream, outcome.received.endswith(b"MN\r\n")) == (b"mn\r\n", True)
        assert outcome.received.startswith(b"CLIENT_ERROR ")


@pytest.mark.parametrize("key", [b"k" * 1025, b"k" * 299 + b"\x01", b"k" * 299 + b"\x7f"])
def test_what_is_still_refused(key):
    for line in (b"get a " + key, b"delete " + key, b"mg " + key, b"me " + key, b"set " + key + b" 0 0 1\r\nx"):
        outcome = play_every_way(DIGEST, line + b"\r\nmn\r\n", splits=range(1, len(line), 30))
        assert (outcome.upstream, outcome.received) == (b"mn\r\n", BAD_FORMAT + b"MN\r\n")


def test_unless_asked_for_all_are_refused():
    for line in (b"get " + HIT, b"delete " + HIT, b"mg " + HIT, b"set " + HIT + b" 0 0 1\r\nx"):
        outcome = play_every_way(text(), line + b"\r\nmn\r\n", splits=range(1, len(line), 30))
        assert (outcome.upstream, outcome.received) == (b"mn\r\n", BAD_FORMAT + b"MN\r\n")


def test_grants_are_held_against_what_goes_up():
    app = text(("read write", ("app:*",)), digest_overlong_keys=True)
    assert play_every_way(app, b"get " + HIT + b"\r\n", answer=with_hits(HIT)).received == value(HIT) + b"END\r\n"
    other = b"xyz:" + b"k" * 300
    for line in (b"get a" + other, b"get " + HIT + b" " + other, b"mg " + other, b"set " + other + b" 0 0 1\r\nx"):
        outcome = play_every_way(app, line + b"\r\n", splits=range(1, len(line), 30))
        assert (outcome.upstream, outcome.received) == (b"", DENIED)
    # A prefix that is longer than what is readable of the name matches no name.
    narrow = text(("read", ("k" * 200 + "*",)), digest_overlong_keys=True)
    assert play(narrow, b"get " + b"k" * 300 + b"\r\n").received == DENIED


def test_the_bound_is_configurable():
    longer = text(digest_overlong_keys=True, limits=WireLimits(overlong_key=2000))
    assert play(longer, b"get " + b"k" * 2000 + b"\r\n").upstream == b"get " + name(b"k" * 2000) + b"\r\n"
    assert play(longer, b"get " + b"k" * 2001 + b"\r\n").received == BAD_FORMAT


@pytest.mark.parametrize(
    "verb", [b"set", b"cas", b"ms", b"incr", b"delete", b"touch", b"mg", b"md", b"ma", b"me", b"get"]
)
def test_a_verb_alone_has_no_key_to_shorten(verb):
    assert play_every_way(DIGEST, verb + b"\r\n") == play_every_way(text(), verb + b"\r\n")
