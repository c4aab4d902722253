"""The log: structlog, one line an event, to standard error.

Events are short snake_case names with plain fields; a refusal has a `reason`, and lines of one (event, reason) are
limited to ten a second. Writing never waits: if whoever reads standard error has stopped reading, lines are dropped and
counted rather than holding up every client of the proxy.
"""

import logging
import os
import select
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal, cast

import structlog

from mcproxy.observe.limit import RefusalLimit
from mcproxy.observe.recent import Recent
from mcproxy.observe.render import render_console, render_json

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]

_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

Event = MutableMapping[str, Any]


class DescriptorLogger:
    """structlog's last stage: writes a line with one write(), or drops and counts it if that would wait."""

    def __init__(
        self, descriptor: int, render: Callable[[Mapping[str, Any]], bytes], about: Mapping[str, Any] | None = None
    ) -> None:
        self._descriptor = descriptor
        self._render = render
        self._about = about or {}
        self._poll = select.poll()
        self._poll.register(descriptor, select.POLLOUT)
        self._dropped = 0

    def msg(self, line: bytes) -> None:
        if self._dropped and self._writable():
            dropped, self._dropped = self._dropped, 0
            now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            notice = {"timestamp": now, "level": "warning", "event": "log_lines_dropped", "dropped": dropped}
            self._write(self._render({**notice, **self._about}))
        if self._writable():
            self._write(line)
        else:
            self._dropped += 1

    log = debug = info = warning = warn = error = err = critical = fatal = exception = failure = msg

    def _writable(self) -> bool:
        return any(events & select.POLLOUT for _, events in self._poll.poll(0))

    def _write(self, line: bytes) -> None:
        try:
            os.write(self._descriptor, line)
        except OSError:
            # Nobody is left to tell (the pipe's reader is gone, the disk is full); serving matters more.
            self._dropped += 1


class _StandardLibraryHandler(logging.Handler):
    """What libraries log through the standard library (trio does, when accept() fails) joins our lines."""

    def emit(self, record: logging.LogRecord) -> None:
        write = get_logger().error if record.levelno >= logging.ERROR else get_logger().warning
        write("library_message", logger=record.name, message=record.getMessage(), exc_info=record.exc_info)


_limit = RefusalLimit(time.monotonic)
_debugging = False
_configured: Callable[[], None] | None = None
recent: Final = Recent(time.time)
"""Of this process."""


def configure(
    level: LogLevel = "info",
    format: LogFormat = "json",
    *,
    descriptor: int = 2,
    clock: Callable[[], float] = time.monotonic,
    worker: int | None = None,
) -> None:
    """Sets up the log of the whole process; may be called again, and loggers got before then follow.

    `clock` (seconds, monotonic) is what the limit of repeated refusals goes by. `worker` is in every line if given.
    While debugging is on, `level` is only what it goes back to.
    """
    global _limit, _configured
    _configured = partial(configure, level, format, descriptor=descriptor, clock=clock, worker=worker)
    if _debugging:
        level = "debug"
    _limit = RefusalLimit(clock)
    render = render_json if format == "json" else render_console
    about = {} if worker is None else {"worker": worker}
    sink = DescriptorLogger(descriptor, render, about)
    structlog.configure(
        processors=[
            lambda logger, method, event: _noted(event, method, _LEVELS[level]),
            structlog.processors.add_log_level,
            _limit_refusals,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            lambda logger, method, event: render(_ordered(event, about)),
        ],
        # What is noted has to come through; debug, of which there is most, costs nothing where it isn't written.
        wrapper_class=structlog.make_filtering_bound_logger(min(_LEVELS[level], logging.INFO)),
        logger_factory=lambda *_: sink,
        # Not cached, so that a change of level reaches every module's logger.
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_StandardLibraryHandler()], force=True)
    # What libraries warn of, such as odd certificates of clients, joins our lines too.
    logging.captureWarnings(True)


def toggle_debugging() -> bool:
    """Write everything, or go back to the level that is configured; returns whether everything is written now."""
    on = not _debugging
    if not on:
        get_logger().info("debugging_off")
    set_debugging(on)
    if on:
        get_logger().info("debugging_on")
    return on


def set_debugging(on: bool) -> None:
    """As toggle_debugging, without a word."""
    global _debugging
    _debugging = on
    if _configured is not None:
        _configured()


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """The process's logger; to be got at import, before configure() is called."""
    return cast(structlog.typing.FilteringBoundLogger, structlog.get_logger())


def log_bug(error: BaseException) -> None:
    """An exception that nobody expected: which, and where it came from. Its text may hold a client's bytes."""
    where = [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    get_logger().error("internal_error", error=type(error).__name__, where=" ".join(where[-4:]))


def report_suppressed() -> None:
    """Writes how many refusals were left out, where no later line said so. Call it about once a second."""
    for event, reason, count in _limit.overdue():
        get_logger().warning("log_lines_suppressed", of=event, for_reason=reason, suppressed=count)


def _noted(event: Event, method: str, lowest: int) -> Event:
    """Keep what the status page shows, and leave out of the log what is below its level."""
    recent.note(event)
    if _LEVELS.get(method, logging.ERROR) < lowest:
        raise structlog.DropEvent
    return event


def _limit_refusals(logger: object, method: str, event: Event) -> Event:
    if "reason" in event:
        suppressed = _limit.admit(str(event.get("event", "")), str(event["reason"]))
        if suppressed is None:
            raise structlog.DropEvent
        if suppressed:
            event["suppressed"] = suppressed
    return event


def _ordered(event: Event, about: dict[str, Any]) -> dict[str, Any]:
    first = {key: event.pop(key) for key in ("timestamp", "level", "event") if key in event}
    return first | about | dict(event)
