"""Why a meta command is refused: the reason that logs and metrics give, and the class that is lacking."""

import pytest

from tests.unit.wire.driving import play_every_way
from tests.unit.wire.granting import text

DENIED = b"CLIENT_ERROR access denied\r\n"
READER = text(("read", ("app:*",)))
KEY = b"YXBwOmE="  # app:a
OTHER = b"eDph"  # x:a


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"mg a v v", "malformed"),
        (b"mg a X", "malformed"),
        (b"ms a 1 X\r\nx", "malformed"),
        (b"md a D1", "malformed"),
        (b"ma a Tx", "malformed"),
        (b"mg Zm9= b", "bad key"),
        (b"ms Zm!9v 1 b\r\nx", "bad key"),
        (b"me Zm9= b", "bad key"),
        (b"ms a 1001\r\n" + b"x" * 1001, "value too large"),
    ],
)
def test_a_mistake(line, reason):
    splits = None if len(line) < 200 else range(1, len(line), 100)
    outcome = play_every_way(text(), line + b"\r\nmn\r\n", splits=splits)
    assert (outcome.upstream, outcome.refusals, outcome.end) == (b"mn\r\n", [(reason, "")], "open")


@pytest.mark.parametrize(
    ("line", "lacking"),
    [
        (b"mg x:a v", "read"),
        (b"mg %s b v" % OTHER, "read"),
        (b"mg app:a T9", "touch"),
        (b"mg %s b T9" % KEY, "touch"),
        (b"mg app:a N30", "write"),
        (b"mg app:a R30 q", "write"),
        (b"ms app:a 1 q\r\nx", "write"),
        (b"md app:a q", "delete"),
        (b"ma app:a N0", "counter"),
        (b"me app:a", "inspect"),
        (b"me %s b" % KEY, "inspect"),
        (b"me x:a v b", "inspect"),
    ],
)
def test_a_denial(line, lacking):
    outcome = play_every_way(READER, line + b"\r\nmn\r\n")
    assert (outcome.upstream, outcome.received) == (b"mn\r\n", DENIED + b"MN\r\n")
    assert outcome.refusals == [("denied", lacking)]


@pytest.mark.parametrize(
    ("classes", "line", "lacking"),
    [
        ("counter", b"ma app:a N0", "write"),
        ("counter", b"ma app:a T0", "touch"),
        ("delete", b"md app:a I T30", "touch"),
        ("read write", b"mg app:a N30 T9", "touch"),
    ],
)
def test_what_a_flag_needs_beside_the_verb(classes, line, lacking):
    without = text((classes, ("app:*",)))
    assert play_every_way(without, line + b"\r\n").refusals == [("denied", lacking)]
    enough = text((classes + " " + lacking, ("app:*",)))
    assert play_every_way(enough, line + b"\r\n").upstream == line + b"\r\n"


def test_md_with_t_alone_needs_no_more_than_md():
    """Without I memcached ignores the T."""
    outcome = play_every_way(text(("delete", ("app:*",))), b"md app:a T30\r\n")
    assert (outcome.upstream, outcome.refusals) == (b"md app:a\r\n", [])
