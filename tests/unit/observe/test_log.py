"""The log as a whole: what is written to a descriptor, in both formats, and what happens if nobody reads it."""

import json
import logging
import os
import warnings
from datetime import datetime

import pytest
import structlog

from mcproxy.observe import log as module
from mcproxy.observe.log import configure, get_logger, report_suppressed

logger = get_logger()


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    yield reading, writing
    os.close(reading)
    os.close(writing)


@pytest.fixture(autouse=True)
def restore():
    handlers, level = list(logging.root.handlers), logging.root.level
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)


def read(reading):
    try:
        return os.read(reading, 1 << 20).decode()
    except BlockingIOError:
        return ""


def records(reading):
    return [json.loads(line) for line in read(reading).splitlines()]


def test_json_has_a_utc_timestamp_the_level_the_event_and_its_fields_in_this_order(pipe):
    configure("info", "json", descriptor=pipe[1])
    logger.info("login_succeeded", listener="tls", user="sammy")
    (record,) = records(pipe[0])
    assert list(record) == ["timestamp", "level", "event", "listener", "user"]
    assert record["level"] == "info"
    assert record["timestamp"].endswith("Z")
    assert datetime.fromisoformat(record["timestamp"]).utcoffset().total_seconds() == 0


def test_console_is_one_line_an_event(pipe):
    configure("info", "console", descriptor=pipe[1])
    logger.warning("login_failed", user="a\r\nb", reason="wrong password")
    line = read(pipe[0])
    assert line.endswith(' warning login_failed user="a\\r\\nb" reason="wrong password"\n')
    assert line.count("\n") == 1


@pytest.mark.parametrize("format", ["json", "console"])
def test_an_exception_is_one_line(pipe, format):
    configure("info", format, descriptor=pipe[1])
    try:
        raise ValueError("bad\nnews")
    except ValueError:
        logger.exception("failed")
    line = read(pipe[0])
    assert line.count("\n") == 1
    assert "ValueError: bad" in line


def test_levels_below_the_configured_one_are_not_written_and_a_change_reaches_loggers_in_use(pipe):
    configure("warning", "json", descriptor=pipe[1])
    logger.info("unseen")
    logger.debug("unseen")
    assert read(pipe[0]) == ""
    configure("debug", "json", descriptor=pipe[1])
    logger.debug("seen")
    assert [record["event"] for record in records(pipe[0])] == ["seen"]


def test_refusals_are_limited_others_are_not_and_the_count_follows(pipe):
    clock = Clock()
    configure("info", "json", descriptor=pipe[1], clock=clock)
    for _ in range(100):
        logger.info("connection_refused", reason="not on the allowlist")
        logger.info("login_succeeded", user="sammy")
    events = [record["event"] for record in records(pipe[0])]
    assert events.count("connection_refused") == 10
    assert events.count("login_succeeded") == 100
    clock.now = 1.0
    logger.info("connection_refused", reason="not on the allowlist")
    assert records(pipe[0])[0]["suppressed"] == 90


def test_a_flood_that_ended_is_reported(pipe):
    clock = Clock()
    configure("info", "json", descriptor=pipe[1], clock=clock)
    for _ in range(15):
        logger.info("connection_refused", reason="full")
    read(pipe[0])
    report_suppressed()
    assert read(pipe[0]) == ""
    clock.now = 2.0
    report_suppressed()
    (record,) = records(pipe[0])
    assert (record["event"], record["of"], record["suppressed"]) == ("log_lines_suppressed", "connection_refused", 5)


def test_a_full_pipe_drops_lines_instead_of_waiting_and_says_so_later(pipe):
    configure("info", "json", descriptor=pipe[1])
    for number in range(5000):  # the pipe holds 64 KiB; waiting would hang this test
        logger.info("event", number=number)
    before = records(pipe[0])
    numbers = [record["number"] for record in before]
    assert numbers == list(range(len(numbers)))
    assert 100 < len(numbers) < 5000
    logger.info("after")
    notice, after = records(pipe[0])
    assert (notice["event"], notice["dropped"]) == ("log_lines_dropped", 5000 - len(numbers))
    assert after["event"] == "after"


def test_a_reader_that_is_gone_does_no_harm():
    reading, writing = os.pipe()
    configure("info", "json", descriptor=writing)
    os.close(reading)
    logger.info("nobody_listens")
    logger.info("nobody_listens")
    os.close(writing)


def test_a_library_that_logs_through_the_standard_library_joins_in(pipe):
    configure("info", "json", descriptor=pipe[1])
    logging.getLogger("some.library").error("went\nwrong: %s", 7)
    logging.getLogger("some.library").info("chatter")
    (record,) = records(pipe[0])
    assert (record["event"], record["logger"], record["message"]) == (
        "library_message",
        "some.library",
        "went\nwrong: 7",
    )
    assert record["level"] == "error"


def test_what_libraries_warn_of_joins_in(pipe):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        configure("info", "json", descriptor=pipe[1])
        warnings.warn("an odd certificate", UserWarning, stacklevel=1)
        logging.captureWarnings(False)
    (record,) = records(pipe[0])
    assert (record["event"], record["logger"]) == ("library_message", "py.warnings")
    assert "UserWarning: an odd certificate" in record["message"]


def test_each_line_is_one_write(pipe, monkeypatch):
    writes = []
    configure("info", "json", descriptor=pipe[1])
    monkeypatch.setattr(module.os, "write", lambda descriptor, line: writes.append((descriptor, line)))
    logger.info("event", user="sammy")
    assert [descriptor for descriptor, _ in writes] == [pipe[1]]
    assert writes[0][1].endswith(b"\n")


def test_a_worker_says_which_one_it_is_in_every_line(pipe):
    configure("info", "json", descriptor=pipe[1], worker=3)
    logger.info("ready", worker_of="x")
    (record,) = records(pipe[0])
    assert list(record) == ["timestamp", "level", "event", "worker", "worker_of"]
    assert record["worker"] == 3
