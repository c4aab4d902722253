"""Text commands that the principal may not use: `access denied`, nothing upstream, and the connection in step."""

import pytest

from tests.unit.wire.driving import play_every_way
from tests.unit.wire.granting import text
from tests.unit.wire.test_text_refusals import DENIED, STORAGE, refused, storage

READER = ("read", ("app:*",))
APP = ("read write touch counter delete", ("app:*",))


@pytest.mark.parametrize(
    ("line", "lacks"),
    [
        (b"get x", "read"),
        (b"get x HTTP/1.1", "read"),
        (b"gets app:a x", "read"),
        (b"get app:1 app:2 app:3 app:4 app:5 app:6 app:7 app:8 app:9 app", "read"),
        (b"gat 0 x", "touch"),
        (b"gat -7 x", "touch"),
        (b"incr x 1", "counter"),
        (b"decr ap 1", "counter"),
        (b"delete x", "delete"),
        (b"delete app", "delete"),
        (b"delete x 0", "delete"),
        (b"touch x -5", "touch"),
        (b"flush_all", "flush"),
        (b"flush_all 0", "flush"),
        (b"verbosity 1", "admin"),
        (b"stats", "stats"),
        (b"stats items", "inspect"),
        (b"stats conns", "inspect"),
        (b"stats cachedump 1 1", "inspect"),
        (b"stats reset", "admin"),
        (b"stats detail on", "admin"),
    ],
    ids=repr,
)
def test_a_denied_line_names_the_class_that_is_missing(line, lacks):
    refused(line + b"\r\n", DENIED, reason="denied", make_parser=text(APP), denied=lacks)
    verb = line.split()[0]
    if verb in (b"incr", b"decr", b"delete", b"touch", b"flush_all", b"verbosity"):
        refused(line + b" noreply\r\n", b"", reason="denied", make_parser=text(APP), denied=lacks)


@pytest.mark.parametrize("verb", STORAGE)
def test_a_denied_block_is_swallowed(verb):
    for parser, key in ((text(APP), b"x"), (text(READER), b"app:a")):
        refused(storage(verb, key), DENIED, make_parser=parser, denied="write")
        refused(storage(verb, key, more=b" noreply"), b"", make_parser=parser, denied="write")


def test_without_any_grant_only_version_and_mn_remain():
    parser = text(("read", ()))
    for line in (b"get a", b"gets a", b"gat 0 a", b"delete a", b"incr a 1", b"touch a 0", b"flush_all", b"stats"):
        outcome = play_every_way(parser, line + b"\r\n")
        assert (outcome.upstream, outcome.received) == (b"", DENIED)
    assert play_every_way(parser, b"version\r\nmn\r\n").upstream == b"version\r\nmn\r\n"


def test_one_denied_key_stops_a_whole_multi_get():
    """Cases 1, 44."""
    outcome = play_every_way(text(APP), b"get app:b\r\nflush_all\r\nget app:b app:c x app:d\r\nget app:c\r\n")
    assert outcome.upstream == b"get app:b\r\nget app:c\r\n"
    assert outcome.refusals == [("denied", "flush"), ("denied", "read")]
