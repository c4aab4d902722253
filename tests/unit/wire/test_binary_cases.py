"""The cases of tests/support/binary_cases.py, each whole, byte by byte and cut in two at every byte."""

import pytest

from tests.support import packets
from tests.support.binary_cases import CASES, Answer, BinaryCase
from tests.support.packets import packet
from tests.unit.wire.answering import frames_of
from tests.unit.wire.driving import MakeParser, play, play_every_way
from tests.unit.wire.granting import binary

pytestmark = pytest.mark.thorough

ROLES = {
    "root": (("*", ("*",)),),
    "sammy": (("read write counter touch delete", ("app:*",)),),
    "reader": (("read", ("app:*",)),),
}
NOOP = packet(packets.NOOP, opaque=packets.IN_STEP)


def answers_in(data: bytes) -> list[Answer]:
    """What a client reads in what it got, which must be whole packets."""
    found = []
    while data:
        response, _, body = packets.read_header(data[:24])
        assert len(data) >= 24 + body
        found.append(Answer(response.opcode, response.status, response.opaque))
        data = data[24 + body :]
    return found


def splits_of(data: bytes) -> range | list[int]:
    """Every byte, of long ones those at both ends and a few between."""
    if len(data) < 600:
        return range(1, len(data))
    return [*range(1, 60), *range(60, len(data) - 60, len(data) // 7), *range(len(data) - 60, len(data))]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case: BinaryCase) -> None:
    make: MakeParser = binary(*ROLES[case.user])
    sent = case.sent + NOOP
    large = len(sent) > 1 << 20
    if large:
        # Piece by piece it would take long, and it is swallowed all the same.
        outcome = play(make, sent)
        for position in splits_of(sent):
            assert play(make, sent, [position]) == outcome
    else:
        outcome = play_every_way(make, sent, splits=splits_of(sent))
    in_step = [] if case.closes else [Answer(packets.NOOP, packets.OK, packets.IN_STEP)]
    assert answers_in(outcome.received) == [*case.answers, *in_step]
    assert outcome.end == ("closed" if case.closes else "open")
    assert [frame.verb for frame in frames_of(outcome.upstream)] == [*case.upstream, *["NOOP"] * (not case.closes)]
