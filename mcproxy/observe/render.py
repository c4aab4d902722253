"""From an event to one clean line: whatever a client put into a name stays data, and the line stays one line.

Without this a user called "x\\r\\nlogin_succeeded user=root" could write log lines of his own, and one with escape
codes could rewrite the terminal of whoever reads them (CWE-117, CWE-150).
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

# A write of at most PIPE_BUF bytes to a pipe is atomic and, if poll() calls the pipe writable, doesn't block (pipe(7)).
LINE_LIMIT = 4096

# Tried in turn until the line fits: how many characters of each text are kept. Escaping makes at most 12 bytes of each
# (a pair of surrogates in JSON), so the last of them fits an event of 20 fields.
_TEXT_LIMITS = (3000, 1000, 200, 12)

_PLAIN = re.compile(r"[A-Za-z0-9_.:/@*%+-]+")

Fields = Mapping[str, Any]


def render_json(fields: Fields) -> bytes:
    """One JSON object and a newline, in ASCII, at most LINE_LIMIT bytes."""
    return _fitting(fields, _json)


def render_console(fields: Fields) -> bytes:
    """`TIMESTAMP LEVEL EVENT key=value ...` and a newline, in UTF-8, at most LINE_LIMIT bytes."""
    return _fitting(fields, _console)


def quoted(text: str) -> str:
    """Text in double quotes; what a terminal wouldn't just show (control codes, line ends, text direction) escaped."""
    return '"' + "".join(_shown(character) for character in text) + '"'


def _shown(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")


def _fitting(fields: Fields, render: Callable[[Fields], bytes]) -> bytes:
    line = b""
    for limit in _TEXT_LIMITS:
        line = render({key: _cut(_plain_data(value), limit) for key, value in fields.items()})
        if len(line) <= LINE_LIMIT:
            return line
    # More fields than any event of ours has; better a line that says so than none.
    return render({key: fields[key] for key in ("timestamp", "level", "event") if key in fields} | {"cut": True})


def _plain_data(value: object) -> str | int | float | bool | None:
    """Names and reasons are text; numbers stay numbers; anything else is shown as str() shows it."""
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def _cut(value: Any, limit: int) -> Any:
    # Head and tail, because the end of a traceback says the most.
    if isinstance(value, str) and len(value) > limit:
        return f"{value[: limit // 2]}...{value[-(limit // 2) :]}"
    return value


def _json(fields: Fields) -> bytes:
    # ASCII, so U+2028, C1 control codes and lone surrogates are escaped by json; DEL is the one code that it leaves.
    text = json.dumps(dict(fields), ensure_ascii=True, separators=(",", ":"))
    return text.replace("\x7f", "\\u007f").encode("ascii") + b"\n"


def _console(fields: Fields) -> bytes:
    rest = dict(fields)
    words = [_word(rest.pop(key)) for key in ("timestamp", "level", "event") if key in rest]
    words += [f"{_word(key)}={_word(value)}" for key, value in rest.items()]
    return " ".join(words).encode("utf-8") + b"\n"


def _word(value: object) -> str:
    text = str(value)
    return text if _PLAIN.fullmatch(text) else quoted(text)
