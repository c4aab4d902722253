"""Values that a translated request has read on its way count as those that are delivered do."""

import re

from mcproxy.relay.session import FIRST_WINDOW
from mcproxy.wire.to_text import to_text
from tests.support import packets
from tests.support.packets import packet, touching
from tests.unit.relay.harness import LIMITS, MEGABYTE, Play

VALUE = b"VALUE big 0 %d 1\r\n%s\r\nEND\r\n" % (MEGABYTE, b"x" * MEGABYTE)


def test_touches_of_large_values_are_asked_for_a_few_at_a_time(play: Play) -> None:
    """Or one client's pipeline would have a shared link busy for as long as it takes to read them all."""
    upstream = play.upstream()
    client = play.client(binary=True, translate=to_text)
    client.send(touching(packets.TOUCH, b"big") * 100 + packet(packets.NOOP, opaque=9))
    asked: list[int] = []
    while True:
        play.run()
        lines = upstream.receive()
        if not lines:
            break
        asked.append(lines.count(b"gats"))
        for line in re.findall(rb"[^\n]*\n", lines):
            upstream.push(b"MN\r\n" if line == b"mn\r\n" else VALUE)
            while upstream.unsent:
                play.run()
                upstream.push()
    assert sum(asked) == 100
    assert asked[0] <= FIRST_WINDOW
    assert max(asked[1:]) <= max(1, LIMITS.buffer // MEGABYTE) + 1, asked
    answers = client.responses()
    assert [answer.opcode for answer in answers] == [packets.TOUCH] * 100 + [packets.NOOP]
