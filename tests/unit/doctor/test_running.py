"""All examinations together: one that fails or hangs says so, and is in no other's way; and how it all is shown."""

import errno
import json
import os
from pathlib import Path

import pytest
import trio

from mcproxy.doctor import deployment as deployment_module
from mcproxy.doctor import run
from mcproxy.doctor.registry import EXAMINATIONS, Examination
from mcproxy.doctor.run import Examined
from mcproxy.doctor.show import as_json, failed, table
from mcproxy.doctor.verdicts import Result, Verdict, could_not_tell, finding, note, ok
from tests.unit.doctor.examining import deployment


async def examine(examine_one, monkeypatch) -> list[Result]:
    monkeypatch.setattr(run, "PATIENCE", 0.05)
    return await run._examine(Examination("tried", "because", examine_one), deployment())


async def test_one_that_fails_is_not_taken_for_well(monkeypatch):
    async def fails(_):
        raise KeyError("a fault of ours")

    assert [result.verdict for result in await examine(fails, monkeypatch)] == [Verdict.COULD_NOT_TELL]


async def test_what_the_machine_refuses_is_nothing_for_developers(monkeypatch):
    async def fails(_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    [result] = await examine(fails, monkeypatch)
    assert (result.verdict, result.seen) == (
        Verdict.COULD_NOT_TELL,
        "it could not be looked at: Too many open files",
    )
    assert "developers" not in result.remedy


async def test_without_the_tables_of_the_machine_there_is_one_plain_error(monkeypatch):
    """The command prints an OSError in one line, and would not take a group of them."""

    def refuses():
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/proc/net/fib_trie")

    monkeypatch.setattr(deployment_module, "local_addresses", refuses)
    with pytest.raises(PermissionError):
        await deployment_module.look_at(deployment().asked, deployment().material, ())


async def test_one_that_hangs_is_not_taken_for_well(monkeypatch):
    async def hangs(_):
        await trio.sleep_forever()

    results = await examine(hangs, monkeypatch)
    assert [(result.verdict, result.seen) for result in results] == [
        (Verdict.COULD_NOT_TELL, "it was not done within 0.05 s")
    ]


def examined(*results: Result) -> list[Examined]:
    return [Examined(EXAMINATIONS[0], list(results))]


@pytest.mark.parametrize(
    ("result", "fails"),
    [
        (ok("a", "b"), False),
        (note("a", "b"), False),
        (finding("a", "b", "c"), True),
        (could_not_tell("a", "b"), True),
    ],
)
def test_what_makes_the_exit_status_1(result, fails):
    assert failed(examined(ok("a", "b"), result)) is fails


def test_the_table_has_what_is_heaviest_first():
    lines = list(table(examined(ok("a", "well"), note("b", "so so", "look"), finding("c", "bad", "mend it")), 100))
    assert lines == [
        "FINDING         around  c: bad",
        "                        why: whoever reaches memcached around mcproxy reads and changes everything,",
        "                             without a login",
        "                        do:  mend it",
        "note            around  b: so so",
        "                        do:  look",
        "ok              around  a: well",
        "1 finding, 0 could not tell, 1 note, 1 ok",
    ]


def test_what_others_say_does_not_colour_the_terminal():
    lines = "\n".join(table(examined(finding("c", "it said \x1b[31mred\r\n", "mend it")), 100))
    assert "\x1b" not in lines
    assert "\r" not in lines


def test_json_has_what_the_page_promises():
    document = json.loads(as_json(examined(finding("a", "b", "c")), Path("/etc/mcproxy/mcproxy.yaml")))
    assert list(document) == ["format", "mcproxy", "time", "configuration", "sound", "counts", "results"]
    assert document["format"] == 1
    assert document["sound"] is False
    assert document["counts"] == {"finding": 1, "could not tell": 0, "note": 0, "ok": 0}
    assert document["results"] == [
        {
            "examination": "around",
            "subject": "a",
            "verdict": "finding",
            "seen": "b",
            "why": EXAMINATIONS[0].reason,
            "remedy": "c",
        }
    ]


def test_the_page_has_every_examination():
    page = (Path(__file__).parents[3] / "docs/doctor.md").read_text()
    listed = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert listed == [one.name for one in EXAMINATIONS]
