"""Durations and sizes as people write them: `500ms`, `5m`, `64KiB`. Parsed strictly: a bare number has no unit."""

from __future__ import annotations

import re
from typing import Any

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_WRITTEN = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)[ ]?([A-Za-z]*)")


def parse_duration(value: Any) -> float:
    """`"500ms"`, `"1s"`, `"5m"`, `"0s"` -> seconds. Raises ValueError with what would be right."""
    matched = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if matched and matched[2] in _SECONDS:
        return float(matched[1]) * _SECONDS[matched[2]]
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise ValueError(f'{value} has no unit; write "{value}s" for seconds (units: ms, s, m, h)')
    raise ValueError(f'{_shown(value)} is not a duration; write it like "500ms", "30s" or "5m"')


def parse_size(value: Any) -> int:
    """`"1MiB"`, `"64KiB"`, `1000` -> bytes. Raises ValueError with what would be right."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    matched = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if matched and matched[2] in _BYTES:
        size = float(matched[1]) * _BYTES[matched[2]] if "." in matched[1] else int(matched[1]) * _BYTES[matched[2]]
        if size != int(size):
            raise ValueError(f'"{value}" is not a whole number of bytes')
        return int(size)
    if matched and matched[2][:1].upper() in ("K", "M", "G"):
        unit = matched[2][:1].upper() + "iB"
        raise ValueError(f'"{value}": the units are B, KiB, MiB, GiB; write "{matched[1]}{unit}"')
    raise ValueError(f'{_shown(value)} is not a size; write it like "64KiB", "1MiB" or 1000 (bytes)')


def show_duration(seconds: float) -> str:
    """The shortest way to write so many seconds."""
    for unit in ("h", "m", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:g}{unit}"
    return f"{seconds * 1000:g}ms" if seconds else "0s"


def show_size(size: int) -> str:
    """The shortest way to write so many bytes."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return str(size)


def _shown(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else "this"
