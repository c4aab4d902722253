import pytest

from mcproxy.config.units import parse_duration, parse_size, show_duration, show_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("1s", 1), ("5m", 300), ("0s", 0), ("1h", 3600), ("1.5s", 1.5), ("0ms", 0), ("10 s", 10)],
)
def test_durations_become_seconds(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (5, 'write "5s"'),
        (0, 'write "0s"'),
        (1.5, 'write "1.5s"'),
        ("5", "is not a duration"),
        ("5 minutes", "is not a duration"),
        ("-1s", "is not a duration"),
        ("1S", "is not a duration"),
        ("", "is not a duration"),
        ("1e3s", "is not a duration"),
        ("٣s", "is not a duration"),
        ("1s\n", "is not a duration"),
        ("9" * 400 + "s", "is not a duration"),
        (True, "is not a duration"),
        (None, "is not a duration"),
        (["1s"], "is not a duration"),
    ],
)
def test_other_durations_are_refused_with_what_would_be_right(value, hint):
    with pytest.raises(ValueError) as caught:
        parse_duration(value)
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (1000, 1000),
        ("1000", 1000),
        ("7B", 7),
        ("64KiB", 65536),
        ("1MiB", 2**20),
        ("1GiB", 2**30),
        ("1.5KiB", 1536),
        (0, 0),
    ],
)
def test_sizes_become_bytes(value, size):
    assert parse_size(value) == size
    assert type(parse_size(value)) is int


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("1MB", 'write "1MiB"'),
        ("64k", 'write "64KiB"'),
        ("1g", 'write "1GiB"'),
        ("1.0001KiB", "whole number"),
        ("-1", "is not a size"),
        (-1, "is not a size"),
        (1.5, "is not a size"),
        (True, "is not a size"),
        ("big", "is not a size"),
    ],
)
def test_other_sizes_are_refused_with_what_would_be_right(value, hint):
    with pytest.raises(ValueError) as caught:
        parse_size(value)
    assert hint in str(caught.value)


@pytest.mark.parametrize("text", ["1h", "5m", "90s", "500ms", "0s"])
def test_durations_are_shown_as_they_are_written(text):
    assert show_duration(parse_duration(text)) == text


@pytest.mark.parametrize("text", ["1GiB", "3MiB", "64KiB", "1000", "0"])
def test_sizes_are_shown_as_they_are_written(text):
    assert show_size(parse_size(text)) == text
