"""A client's streams: pipelines of frames, some of them damaged, cut into pieces at random places."""

import random
from collections import Counter
from dataclasses import dataclass, field

from fuzz.differential import damage, damage_binary, frames, frames_administration, frames_binary, frames_meta
from fuzz.differential.frames import Made, Weighted
from fuzz.differential.rules import DIGEST, EVERYTHING, FEW, Rules

SENTINEL = {False: b"mn\r\n", True: b"\x80\x0a" + bytes(10) + b"\x5e\x47\x1e\x15" + bytes(8)}
"""The last frame of each stream, by whether it is binary: answered in its place, or everything is out of step."""

ANSWERED = {False: b"MN\r\n", True: b"\x81\x0a" + bytes(10) + b"\x5e\x47\x1e\x15" + bytes(8)}
FAMILIES: dict[str, Weighted] = {
    "classic": frames.CLASSIC,
    "meta": frames_meta.META,
    "administration": frames_administration.ADMINISTRATION,
    "binary": frames_binary.BINARY,
}
SHARES = {"classic": 0.6, "meta": 0.395, "administration": 0.005}
"""Of text frames. Administration is mostly asked on links of its own, a hundred times as slow."""

DAMAGES = ("text damage", "binary damage")
DEPTHS = (1, 2, 3, 5, 8, 13, 20, 30, 40, 50, 60)
DEPTH_WEIGHTS = (2, 1, 1, 1, 2, 3, 4, 6, 8, 8, 8)
TABLE_SIZE = 10_000
TRIED = 4
"""Kinds of damage that are tried on a frame until one applies."""

STREAMS_FOR_EACH_TABLE = 2500


@dataclass(slots=True)
class Stream:
    """What one client sends: flights, each of which is answered before the next is sent, made of frames (or parts).

    `cuts` are the places at which each flight is cut into pieces. `forced`: each piece is read by the program before
    the next is sent. `leaves`: how the client ends it: "half-close" (with the last byte), "late half-close" (once
    everything is answered), "truncated" (in the middle of a frame), or "away" (it closes without reading). `damaged`:
    the program may be sent anything. `cells` are the coverage table's.
    """

    rules: Rules
    flights: list[list[bytes]]
    cuts: list[list[int]]
    forced: bool
    leaves: str
    damaged: bool
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)


class Generator:
    """Streams one after the other, all of it decided by the seed."""

    def __init__(self, seed: str, families: list[str]) -> None:
        self.choose = random.Random(seed)
        self._families = families
        self._tables: dict[bool, list[Made]] = {}
        self._left = 0

    def next(self) -> Stream:
        """The next stream."""
        choose = self.choose
        if not self._left:
            self._fill()
        self._left -= 1
        binary = choose.random() < 0.35 if len(self._tables) == 2 else next(iter(self._tables))
        cells: Counter[tuple[str, str]] = Counter()
        rules = choose.choices((EVERYTHING, FEW, DIGEST), (65, 25, 10))[0]
        cells["listener", rules.name] += 1
        # Connections of several flights show that a connection which was answered is still good.
        count = choose.choices((1, 2, 4), (70, 20, 10))[0]
        flights = [self._flight(binary, rules, cells) for _ in range(count)]
        damaged = any(name in DAMAGES for name, _ in cells)
        leaves = choose.choices(("half-close", "late half-close", "away"), (48, 50, 2))[0]
        if leaves == "half-close" and choose.random() < 0.05:
            last = flights[-1]
            # A damaged frame may have no bytes left.
            last[choose.randrange(len(last)) :] = [
                part[: choose.randrange(len(part) or 1)] for part in choose.sample(last, 1)
            ]
            leaves, damaged = "truncated", True
        cells["end of a connection", leaves] += 1
        cells["flights", str(count)] += 1
        forced = choose.random() < 0.3
        cuts = [self._cuts(b"".join(flight), forced, cells) for flight in flights]
        return Stream(rules, flights, cuts, forced, leaves, damaged, cells)

    def _fill(self) -> None:
        self._left = STREAMS_FOR_EACH_TABLE
        shares = {family: SHARES[family] for family in self._families if family != "binary"}
        text: list[Made] = []
        for family, share in shares.items():
            text += frames.table(self.choose, FAMILIES[family], int(TABLE_SIZE * share / sum(shares.values())))
        if text:
            self._tables[False] = text
        if "binary" in self._families:
            self._tables[True] = frames.table(self.choose, FAMILIES["binary"], TABLE_SIZE)

    def _flight(self, binary: bool, rules: Rules, cells: Counter[tuple[str, str]]) -> list[bytes]:
        choose = self.choose
        depth = choose.choices(DEPTHS, DEPTH_WEIGHTS)[0]
        made = choose.choices(self._tables[binary], k=depth)
        parts = [each.data for each in made]
        for each in made:
            cells.update(each.cells)
        cells["pipeline depth", str(depth)] += 1
        if choose.random() < 0.5:
            kinds = damage_binary.BINARY if binary else damage.TEXT
            for _ in range(choose.choice((1, 1, 2, 3, 5))):
                place = choose.randrange(depth)
                # What is damaged already may have no line left to damage; not every kind applies to every frame.
                for kind in choose.sample(list(kinds), TRIED) if parts[place] is made[place].data else ():
                    parts[place] = kinds[kind](choose, made[place].data)
                    if parts[place] != made[place].data:
                        cells[DAMAGES[binary], kind] += 1
                        break
        if rules.digest and not binary:
            for place in range(0, depth, 4):
                if parts[place] is made[place].data and (long := damage.overlong(choose, parts[place])) != parts[place]:
                    parts[place] = long
                    cells["overlong keys", made[place].cells[0][1]] += 1
        return [*parts, SENTINEL[binary]]

    def _cuts(self, flight: bytes, forced: bool, cells: Counter[tuple[str, str]]) -> list[int]:
        choose = self.choose
        if len(flight) < 2:
            return []
        if forced and len(flight) < 120 and choose.random() < 0.2:
            cells["splits", "byte by byte"] += 1
            return list(range(1, len(flight)))
        count = choose.choice((1, 2, 3, 6)) if forced else choose.choice((0, 0, 1, 2, 5))
        cuts = sorted({choose.randrange(1, len(flight)) for _ in range(count)})
        for cut in cuts if forced else ():
            cells["splits", _place(flight, cut)] += 1
        return cuts


def _place(flight: bytes, cut: int) -> str:
    """What a cut in a stream of either protocol cuts, roughly: by the bytes on both of its sides."""
    before, after = flight[cut - 1], flight[cut]
    if before == 0x0D and after == 0x0A:
        return "between CR and LF"
    if before == 0x0A:
        return "behind LF"
    if 0x20 in (before, after):
        return "beside a space"
    if flight[:1] == b"\x80" and 0x80 in flight[max(0, cut - 24) : cut]:
        return "near a packet's header"
    return "elsewhere"
