"""Figures and words in a terminal's cells."""

import pytest

from mcproxy.cli.top import text


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"), (0.034, "0.034"), (2.5, "2.5"), (9.94, "9.9"), (9.96, "10"), (11, "11"), (9999, "9,999"),
        (9999.6, "10K"), (12_345, "12.3K"), (999_600, "1M"), (1_880_000, "1.88M"), (4.2e9, "4.2G"), (3e15, "3,000T"),
    ],
)  # fmt: skip
def test_numbers(value, written):
    assert text.number(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(0, "0 B"), (999, "999 B"), (1000, "0.977 KiB"), (3_145_728, "3 MiB"), (2**50, "1.02e+03 TiB")],
)
def test_sizes(value, written):
    assert text.size(value) == written


@pytest.mark.parametrize(
    ("part", "whole", "written"),
    [(0, 0, "-"), (0, 9, "0 %"), (1, 1000, "<1 %"), (999, 1000, ">99 %"), (1, 2, "50 %"), (7, 7, "100 %")],
)
def test_shares(part, whole, written):
    assert text.share(part, whole) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (3600, "1 h"), (47 * 3600, "47 h"), (49 * 3600, "2 days")],
)
def test_durations(seconds, written):
    assert text.duration(seconds) == written


@pytest.mark.parametrize(("words", "width"), [("abc", 3), ("日本", 4), ("e\u0301", 1), ("한글 ok", 7), ("", 0)])
def test_cells(words, width):
    assert text.cells(words) == width


def test_words_are_cut_and_filled_by_cells():
    assert text.left("abcdefg", 6) == "abc..."
    assert text.left("日本語日本語", 7) == "日本..."
    assert text.left("日本語日本語", 8) == "日本... "
    assert text.right("12", 4) == "  12"
    assert [text.cut("abcdef", width) for width in range(5)] == ["", "a", "ab", "abc", "abcd"]


def test_words_are_folded():
    assert text.folded("one two three", 8) == ["one two", "three"]
    assert text.folded("one two three four", 8, 2) == ["one two", "three..."]
    assert text.folded("x" * 10, 4, 2) == ["xxxx", "xxxx"]
    assert text.folded("", 8) == [""]
    assert text.folded("ab", 0) == [""]


def test_clean_words():
    assert text.clean("\x1b[31mred\u202e\ud800\n") == "\\x1b[31mred\\u202e\\ud800\\n"
    assert text.clean("x" * 300, 10) == "xxxxxxx..."
    assert text.cells(text.clean("Z" + "\u0301" * 90)) == 1
    assert len(text.clean("Z" + "\u0301" * 90)) == 4
    assert text.all_clean({"a": ["\x07", {"b": ("\x08", 1, None)}]}) == {"a": ["\\x07", {"b": ["\\x08", 1, None]}]}


def test_plots():
    assert text.plot([0, 1, 2, 3, 4, 5, 6, 7, 8], 20) == "▁▂▃▄▅▆▇██"
    assert text.plot([], 20) == ""
    assert text.plot([1, 2], 0) == ""
    assert text.plot([0, 0, 0], 20) == "▁▁▁"
    assert text.plot([0, 8, 0, 4], 4) == "▁█▁▅"
    # The highest of those that share a column, the newest one always at the right edge.
    assert text.plot([9, 0, 0, 8, 0, 4], 3, "abcdefgh") == "hhd"
    assert text.plot([0, 0, 0, 8, 4], 3, "abcdefgh") == "aah"
