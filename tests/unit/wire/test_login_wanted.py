"""CLIENT_ERROR unauthenticated in mid-session is no reply: the link is not logged in any more (case 26)."""

import pytest

from mcproxy.wire.gathered import Gathered, Gathering
from mcproxy.wire.retrieval import Get
from tests.support import packets
from tests.support.packets import packet
from tests.unit.wire.answering import response
from tests.unit.wire.driving import Collector, Link
from tests.unit.wire.granting import text
from tests.unit.wire.reading import read, read_every_way
from tests.unit.wire.test_binary_replies import LOGIN
from tests.unit.wire.test_upstream_denials import LINES, PRIVATE, making
from tests.unit.wire.translating import asking

UNAUTHENTICATED = b"CLIENT_ERROR unauthenticated\r\n"
FAILURES = [b"CLIENT_ERROR authentication failure\r\n", b"CLIENT_ERROR bad authentication token format\r\n"]
"""What memcached -Y says of a `set` before the login, which it takes for one."""

ERROR = b"SERVER_ERROR lost\r\n"
SENTENCES = [b"CLIENT_ERROR unauthenticated user\r\n", b"CLIENT_ERROR not unauthenticated\r\n"]
"""What memcached might say some day where its words are free."""

OPCODES = [
    *(packets.GET, packets.GETQ, packets.GETK, packets.GETKQ, packets.GAT, packets.GATK, packets.TOUCH),
    *(packets.SET, packets.SETQ, packets.ADD, packets.REPLACE, packets.APPEND, packets.PREPEND),
    *(packets.DELETE, packets.INCR, packets.DECR, packets.FLUSH, packets.NOOP, packets.VERSION),
]


@pytest.mark.parametrize("line", [*LINES, *PRIVATE, b"mn", b"version"], ids=lambda line: line[:20].decode())
def test_every_command(line):
    reading = read_every_way(making(line), UNAUTHENTICATED)
    assert (reading.received, reading.lost) == (ERROR, LOGIN)


@pytest.mark.parametrize("reply", FAILURES)
@pytest.mark.parametrize("line", [b"set a 0 0 1\r\nx", b"mn", *PRIVATE], ids=lambda line: line[:20].decode())
def test_what_was_taken_for_a_login(line, reply):
    reading = read_every_way(making(line), reply)
    assert (reading.received, reading.lost) == (ERROR, LOGIN)


@pytest.mark.parametrize("line", [b"set a 0 0 1 noreply\r\nx", b"delete a noreply", b"flush_all noreply"])
def test_commands_without_a_reply(line):
    reading = read_every_way(making(line), UNAUTHENTICATED)
    assert (reading.received, reading.lost) == (b"", LOGIN)


def test_gets_of_several_clients():
    sinks = [Collector() for _ in range(2)]
    group = Gathered(sinks[0], "read", Gathering(lambda: None))
    for key, sink in zip((b"a", b"b"), sinks, strict=True):
        request = text()(sink).next(b"get %b\r\n" % key, 0, 1)
        assert isinstance(request, Get)
        assert group.add(request)
    group.to_send()
    link = Link()
    link.waiting.append(group)
    link.receive(UNAUTHENTICATED)
    assert ([sink.received for sink in sinks], link.lost) == ([ERROR] * 2, LOGIN)


def test_the_lines_before_have_their_answers():
    value = b"VALUE a 0 1\r\nx\r\nEND\r\n"
    reading = read_every_way(making(b"get a\r\nget b\r\nget c\r\n"), value + UNAUTHENTICATED)
    assert (reading.received, reading.lost) == (value + ERROR * 2, LOGIN)


@pytest.mark.parametrize("line", [b"lru_crawler enable", *PRIVATE], ids=bytes.decode)
@pytest.mark.parametrize("sentence", SENTENCES)
def test_other_words_are_the_reply_where_words_are_free(line, sentence):
    reading = read(making(line), sentence)
    assert (reading.received, reading.lost) == (sentence, "")


@pytest.mark.parametrize("opcode", OPCODES, ids=hex)
def test_every_operation_that_went_up_as_text(opcode):
    key = b"" if opcode in (packets.FLUSH, packets.NOOP, packets.VERSION) else b"k"
    made = packets.with_key(opcode, key, opaque=7) if key else packet(opcode, opaque=7)
    reading = read_every_way(asking(made), UNAUTHENTICATED)
    assert (reading.received, reading.lost) == (response(opcode, 7, 0x86, value=b"lost"), LOGIN)


@pytest.mark.parametrize("key", [b"", b"items", b"reset", b"detail dump"])
def test_statistics_that_went_up_as_text(key):
    reading = read_every_way(asking(packet(packets.STAT, key, opaque=7)), UNAUTHENTICATED)
    assert (reading.received, reading.lost) == (response(packets.STAT, 7, 0x86, value=b"lost"), LOGIN)
