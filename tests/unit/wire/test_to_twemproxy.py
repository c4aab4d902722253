"""Text requests on their way to a twemproxy: what it takes, one key a line, and nothing else."""

import pytest

from mcproxy.wire.requests import Request
from mcproxy.wire.text import TextParser
from mcproxy.wire.to_twemproxy import NOT_AVAILABLE, REASON, to_twemproxy
from tests.unit.wire.answering import answer
from tests.unit.wire.driving import Client, Outcome, play, play_every_way
from tests.unit.wire.granting import text_rules
from tests.unit.wire.test_text_lengths import answer_whole


class Translated:
    """A text parser, whose requests go through the translation as relay.session has them do."""

    def __init__(self, sink, **options):
        self._parser = TextParser(text_rules(), sink, **options)

    def __getattr__(self, name):
        return getattr(self._parser, name)

    def next(self, data, position, room):
        outcome = self._parser.next(data, position, room)
        return to_twemproxy(outcome) if isinstance(outcome, Request) else outcome


def conversation(data: bytes, **options) -> Outcome:
    return play_every_way(Translated, data, **options)


@pytest.mark.parametrize(
    "line",
    [
        b"set k 0 0 1\r\nx\r\n",
        b"add k 0 0 1\r\nx\r\n",
        b"replace k 0 100 1\r\nx\r\n",
        b"append k 0 0 1\r\nx\r\n",
        b"prepend k 0 0 1\r\nx\r\n",
        b"cas k 0 0 1 5\r\nx\r\n",
        b"incr k 1\r\n",
        b"decr k 1\r\n",
        b"delete k\r\n",
        b"touch k -1\r\n",
        b"version\r\n",
        b"get k\r\n",
        b"gets k\r\n",
        b"get a\r\nget b\r\n",
    ],
)
def test_what_it_knows_goes_up_as_it_is(line):
    outcome = conversation(line)
    assert outcome.upstream == line
    assert outcome.received == answer(line)
    assert not outcome.refusals


@pytest.mark.parametrize(
    "line",
    [
        b"gat 10 k",
        b"gats 10 k",
        b"flush_all",
        b"verbosity 1",
        b"stats",
        b"stats items",
        b"lru mode flat",
        b"lru_crawler metadump all",
        b"watch",
        b"shutdown",
        b"refresh_certs",
        b"mg k v",
        b"md k",
        b"ma k",
        b"me k",
        b"gat 10 " + b" ".join(b"key%d" % number for number in range(950)),
    ],
)
def test_what_it_does_not_know_is_refused_and_the_connection_goes_on(line):
    outcome = conversation(line + b"\r\nget a\r\n", splits=[3, 500] if len(line) > 500 else None)
    assert outcome.received == NOT_AVAILABLE + answer(b"get a\r\n")
    assert outcome.upstream == b"get a\r\n"
    assert set(outcome.refusals) == {(REASON, "")}
    assert outcome.end == "open"


def test_a_meta_block_is_no_command():
    outcome = conversation(b"ms k 9\r\nflush_all\r\nget a\r\n")
    assert outcome.received == NOT_AVAILABLE + answer(b"get a\r\n")
    assert outcome.upstream == b"get a\r\n"


def test_mn_is_answered_in_its_turn():
    outcome = conversation(b"get a\r\nmn\r\nget b\r\n")
    assert outcome.upstream == b"get a\r\nget b\r\n"
    assert outcome.received == answer(b"get a\r\n") + b"MN\r\n" + answer(b"get b\r\n")
    assert not outcome.refusals


@pytest.mark.parametrize("verb", [b"set", b"add", b"cas"])
def test_a_negative_time_is_one_of_1970(verb):
    unique = b" 5" if verb == b"cas" else b""
    outcome = conversation(verb + b" k 0 -1 3" + unique + b"\r\n -1\r\n")
    assert outcome.upstream == verb + b" k 0 2592001 3" + unique + b"\r\n -1\r\n"


def test_noreply_stays_with_the_proxy():
    outcome = conversation(b"set k 0 -1 1 noreply\r\nx\r\nget a\r\n")
    assert outcome.upstream == b"set k 0 2592001 1\r\nx\r\nget a\r\n"
    assert outcome.received == answer(b"get a\r\n")


def test_nothing_answers_noreply():
    outcome = conversation(b"flush_all noreply\r\nget a\r\n")
    assert outcome.received == answer(b"get a\r\n")
    assert outcome.refusals == [(REASON, "")]


@pytest.mark.parametrize("verb", [b"get", b"gets"])
def test_a_multi_get_goes_up_a_key_a_line_and_is_answered_as_one(verb):
    lines = [[b"a", b"b", b"c", b"a"], [b"d"], [b"e", b"f"]]
    outcome = conversation(b"".join(verb + b" " + b" ".join(keys) + b"\r\n" for keys in lines))
    assert outcome.upstream == b"".join(verb + b" " + key + b"\r\n" for keys in lines for key in keys)
    assert outcome.received == b"".join(answer_whole(verb, keys) for keys in lines)


def test_one_that_is_cut_up_already():
    keys = [b"key%d" % number for number in range(250)]
    data = b"get " + b" ".join(keys) + b"\r\nmn\r\n"
    outcome = play_every_way(Translated, data, splits=[7, 500])
    assert outcome.upstream == b"".join(b"get " + key + b"\r\n" for key in keys)
    assert outcome.received == answer_whole(b"get", keys) + b"MN\r\n"


def test_a_key_of_another_name_is_known_by_the_clients():
    long = b"k" * 260

    def make(sink):
        return Translated(sink, digest_overlong_keys=True)

    outcome = play(make, b"get a " + long + b" b\r\n")
    assert [line[:4] for line in outcome.upstream.split(b"\r\n")[:-1]] == [b"get "] * 3
    assert long not in outcome.upstream
    assert outcome.received.endswith(b"END\r\n")
    assert outcome.received.count(b"END\r\n") == 1 + outcome.received.count(b"\r\nEND\r\nVALUE x")


def failing(bad: bytes):
    def reply(data: bytes) -> bytes:
        return b"".join(
            b"SERVER_ERROR Connection refused\r\n" if line == bad else answer(line) for line in data.splitlines(True)
        )

    return reply


def test_a_server_that_is_gone_costs_one_error():
    outcome = conversation(b"get b a d\r\nget b d\r\n", answer=failing(b"get a\r\n"))
    found = answer_whole(b"get", [b"b"]).removesuffix(b"END\r\n")
    assert outcome.received == found + b"SERVER_ERROR Connection refused\r\n" + answer_whole(b"get", [b"b", b"d"])
    assert outcome.end == "open"


def test_a_link_that_is_lost_costs_one_error_a_line():
    client = Client(Translated, answer, 1000, True, 0)
    client.receive(b"get b a\r\nget a b\r\nget b d\r\n")
    client.link.receive(answer(b"get b\r\n"))
    client.link.close("gone")
    found = answer_whole(b"get", [b"b"]).removesuffix(b"END\r\n")
    assert client.received == found + b"SERVER_ERROR lost\r\n" * 3
    assert client.in_flight == 0


def test_a_value_under_another_key_is_delivered_to_nobody():
    client = Client(Translated, answer, 1000, True, 0)
    client.receive(b"get b d\r\n")
    client.link.receive(b"VALUE d 7 1\r\nx\r\nEND\r\n")
    assert client.link.lost
    assert client.received == b"SERVER_ERROR lost\r\n"


def test_hits_are_counted():
    client = Client(Translated, answer, 1000, True, 0)
    client.receive(b"get b a d\r\n")
    client.answer()
    (request,) = client.answered
    assert (request.lookups, request.hits) == (3, 2)
