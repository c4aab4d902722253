"""The coverage table: every cell that a long enough run must have filled, and how often it was."""

from collections import Counter

from fuzz.differential import damage, damage_binary, frames, frames_administration, frames_binary, frames_meta
from fuzz.differential.streams import DEPTHS

Cell = tuple[str, str]
NOREPLY = [verb for _, _, verb in frames.CLASSIC if verb not in ("get", "gets", "gat", "gats", "version", "mn")]
COMMON: list[Cell] = [
    ("listener", "everything"),
    ("listener", "limited"),
    ("listener", "digest"),
    *(("pipeline depth", str(depth)) for depth in DEPTHS),
    *(("flights", each) for each in ("1", "2", "4")),
    *(("end of a connection", each) for each in ("half-close", "late half-close", "away", "truncated")),
    *(("splits", each) for each in ("byte by byte", "between CR and LF", "behind LF", "beside a space", "elsewhere")),
    ("splits", "of memcached's replies"),
]
TEXT: list[Cell] = [
    *(("text damage", kind) for kind in damage.TEXT if kind not in damage.OF_META),
    *((frames.SPELLINGS, each) for each in ("doubled space", "trailing space", "leading space")),
]
FAMILIES: dict[str, list[Cell]] = {
    "classic": [
        *TEXT,
        *((frames.VERBS, verb) for _, _, verb in frames.CLASSIC),
        *(("overlong keys", verb) for _, _, verb in frames.CLASSIC if verb not in ("version", "mn")),
        *(("quiet", f"{verb} noreply") for verb in NOREPLY),
        *(("keys of a retrieval", each) for each in ("1", "2 to 9", "10 to 150")),
        *((frames.SPELLINGS, each) for each in ("negative exptime", "delete with 0", "ignored words")),
    ],
    "meta": [
        *TEXT,
        *(("text damage", kind) for kind in damage.OF_META),
        *((frames.VERBS, verb) for _, _, verb in frames_meta.META),
        *(("overlong keys", verb) for _, _, verb in frames_meta.META),
        *(
            (f"flags of {verb}", letter)
            for verb, letters in frames_meta.BARE.items()
            for letter in letters + frames_meta.VALUED[verb]
        ),
        *(("flags of me", each) for each in ("b", "(none)")),
        *(("modes of M", f"{verb} M{mode}") for verb, modes in frames_meta.MODES.items() for mode in modes),
        *(("quiet", f"{verb} q") for verb in frames_meta.BARE),
        *(
            (frames.SPELLINGS, f"{verb} {letter} without {needed}")
            for (verb, letter), needed in frames_meta.IGNORED_ALONE.items()
        ),
        (frames.SPELLINGS, "meta number with zeros, or in the past"),
    ],
    "administration": [
        *TEXT,
        *(("administration", verb) for verb in frames_administration.LINES),
        *(("quiet", f"{verb} noreply") for verb in ("flush_all", "verbosity", "cache_memlimit")),
    ],
    "binary": [
        *((frames_binary.VERBS, name) for name in frames_binary.CODES),
        *(("binary STAT", name.decode() or "(none)") for name in frames_binary.STAT_KEYS),
        *(("binary damage", kind) for kind in damage_binary.BINARY),
        (frames.SPELLINGS, "datatype and vbucket"),
        ("splits", "near a packet's header"),
    ],
}


def missing(cells: Counter[Cell], families: list[str]) -> list[Cell]:
    """The cells that should have been filled and were not."""
    wanted = [*COMMON, *(cell for family in families for cell in FAMILIES[family])]
    return sorted({cell for cell in wanted if not cells[cell]})


def table(cells: Counter[Cell], families: list[str]) -> str:
    """The table as text, one line for each of its parts."""
    parts: dict[str, dict[str, int]] = {}
    for (part, name), count in sorted(cells.items()):
        parts.setdefault(part, {})[name] = count
    for part, name in missing(cells, families):
        parts.setdefault(part, {})[name] = 0
    lines = ["how often"]
    for part, names in parts.items():
        shown = (f"{name} {count}" if count else f"{name} NEVER" for name, count in names.items())
        lines.append(f"  {part}: " + ", ".join(shown))
    return "\n".join(lines)
