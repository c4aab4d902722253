"""What an upstream says of itself is read strictly: numbers where numbers must be, or nothing of it is believed."""

import pytest

from mcproxy.observe.memcached import Figures
from mcproxy.server.statistics_answers import NotFigures, figures_of, is_denial, lines_of

GENERAL = b"STAT pid 1\r\nSTAT version 1.6.18\r\nSTAT rusage_user 0.007354\r\nSTAT curr_items 12\r\nEND\r\n"


def figures(general: bytes = b"END\r\n", items: bytes = b"", slabs: bytes = b"", settings: bytes = b"") -> Figures:
    answers = {b"stats": general, b"stats items": items, b"stats slabs": slabs, b"stats settings": settings}
    return figures_of({question: lines_of(answer or b"END\r\n") for question, answer in answers.items()})


def test_what_has_a_metric_is_kept() -> None:
    assert figures(GENERAL) == Figures("1.6.18", {"rusage_user": 0.007354, "curr_items": 12})


def test_slab_classes() -> None:
    items = b"STAT items:1:number 3\r\nSTAT items:63:age 0\r\nSTAT items:1:strange x\r\nEND\r\n"
    slabs = b"STAT 1:chunk_size 96\r\nSTAT 1:cmd_set 3\r\nSTAT active_slabs 1\r\nSTAT total_malloced 1048576\r\nEND\r\n"
    read = figures(items=items, slabs=slabs)
    assert read.items == {1: {"number": 3}, 63: {"age": 0}}
    assert read.slabs == {1: {"chunk_size": 96, "cmd_set": 3}}
    assert read.server == {"total_malloced": 1048576}


def test_settings_that_are_words() -> None:
    crawler = (
        b"STAT maxconns 1024\r\nSTAT lru_crawler yes\r\nSTAT lru_maintainer_thread no\r\nSTAT inter NULL\r\nEND\r\n"
    )
    assert figures(settings=crawler).settings == {"maxconns": 1024, "lru_crawler": 1, "lru_maintainer_thread": 0}
    without = crawler.replace(b"lru_crawler yes", b"lru_crawler no")
    assert figures(settings=without).settings == {"maxconns": 1024}


def test_values_with_spaces_and_without_any() -> None:
    assert lines_of(b"STAT inter 127.0.0.1 ::1\r\nSTAT empty\r\nSTAT blank \r\nEND\r\n") == {
        "inter": "127.0.0.1 ::1",
        "empty": "",
        "blank": "",
    }


@pytest.mark.parametrize("error", [b"ERROR\r\n", b"CLIENT_ERROR access denied\r\n", b"SERVER_ERROR out of memory\r\n"])
def test_an_error_tells_nothing(error: bytes) -> None:
    assert lines_of(error) is None
    assert is_denial(error) == (b"denied" in error)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"RESET\r\n",
        b"OK\r\n",
        b"STAT a 1\r\n",
        b"STAT a 1\r\nEND\r\nEND\r\n",
        b"junk\r\nEND\r\n",
        b"STAT a 1\nEND\r\n",
        b"STAT a 1\r\nITEM b [1 b; 0 s]\r\nEND\r\n",
    ],
)
def test_what_is_no_list(answer: bytes) -> None:
    with pytest.raises(NotFigures, match="no list"):
        lines_of(answer)


@pytest.mark.parametrize(
    "value", [b"", b"x", b"-1", b"1e9", b"0x10", b"nan", b"inf", b"1 2", b"1_000", b"1" * 21, b"1."]
)
def test_what_is_no_number(value: bytes) -> None:
    line = b"STAT curr_items " + value + b"\r\nEND\r\n"
    with pytest.raises(NotFigures, match="no number"):
        figures(line)
    with pytest.raises(NotFigures, match="no number"):
        figures(items=line.replace(b"curr_items", b"items:1:number"))


@pytest.mark.parametrize("version", [b'1.6"} 1', b"1.6 beta", b"\xc3\xa4", b"v" * 65, b"1.6\x1b[2J"])
def test_a_version_that_could_be_anything(version: bytes) -> None:
    with pytest.raises(NotFigures, match="version"):
        figures(b"STAT version " + version + b"\r\nEND\r\n")


@pytest.mark.parametrize("slab", [b"0", b"64", b"99"])
def test_a_slab_class_that_there_is_not(slab: bytes) -> None:
    with pytest.raises(NotFigures, match="slab"):
        figures(items=b"STAT items:" + slab + b":number 1\r\nEND\r\n")
