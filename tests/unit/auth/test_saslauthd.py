"""The messages to and from saslauthd: nothing but its OK is one, and nothing is asked that it would misread."""

import pytest

from mcproxy.auth.saslauthd import LONGEST_ANSWER, LONGEST_STRING, Answer, UnknownAnswer, answer, question


def counted(data: bytes) -> bytes:
    return len(data).to_bytes(2) + data


def test_a_question_is_four_counted_strings() -> None:
    assert question("olga", "pass word", "memcached", "") == b"\0\4olga\0\x09pass word\0\x09memcached\0\0"
    assert question("\u00f6", "\U0001f511", "m", "example.org") == (
        b"\0\2\xc3\xb6\0\4\xf0\x9f\x94\x91\0\1m\0\x0bexample.org"
    )


@pytest.mark.parametrize(
    "text", ["", "a\0b", "\0", "a\rb", "a\nb", "a\tb", "\x7f", "x" * (LONGEST_STRING + 1), "\u00f6" * 129]
)
def test_what_saslauthd_would_misread_is_not_asked(text: str) -> None:
    assert question(text, "password", "memcached", "") is None
    assert question("olga", text, "memcached", "") is None
    if text:
        assert question("olga", "password", text, "") is None
        assert question("olga", "password", "memcached", text) is None


def test_the_longest_that_it_takes() -> None:
    assert question("olga", "x" * LONGEST_STRING, "m", "") is not None


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        (b"OK", Answer.ACCEPTED),
        (b"OK remote authentication successful", Answer.ACCEPTED),
        (b"OK " + b"x" * (LONGEST_ANSWER - 3), Answer.ACCEPTED),
        (b"NO", Answer.REFUSED),
        (b"NO ", Answer.REFUSED),
        (b"NO OK", Answer.REFUSED),
        (b"NO PAM auth error", Answer.REFUSED),
        (b"NO [ALERT] Couldn't contact remote authentication server", Answer.BROKEN),
    ],
)
def test_an_answer_whole_and_in_pieces(text: bytes, meaning: Answer) -> None:
    data = counted(text)
    assert answer(data) is meaning
    for cut in range(len(data)):
        assert answer(data[:cut]) is None


@pytest.mark.parametrize(
    "data",
    [
        counted(b""),
        counted(b"O"),
        counted(b"ok"),
        counted(b"OKAY"),
        counted(b"OK\0"),
        counted(b" OK"),
        counted(b"NOT"),
        counted(b"YES"),
        counted(b"OK") + b"\n",
        counted(b"OK") * 2,
        counted(b"NO") + counted(b"OK"),
        (LONGEST_ANSWER + 1).to_bytes(2),
        b"OK",
        b"\xff\xff",
        b"220 ready\r\n",
    ],
)
def test_anything_else_is_no_answer(data: bytes) -> None:
    with pytest.raises(UnknownAnswer):
        answer(data)
