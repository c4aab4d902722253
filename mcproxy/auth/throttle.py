"""Slows an address down that keeps getting passwords wrong.

Failures are counted for each source and fade by half every minute. From the fifth on, attempts of that source are
given slots: one second apart, then two, four, up to a bound. An attempt whose slot lies behind the login deadline is
refused at once, unchecked. A password that was right gives its slot back, so right clients that share an address
with a wrong one get through one after the other.

Only the source is counted, never the user: otherwise anybody could lock out sammy by failing as sammy. There is no
clock in here; whoever asks says what time it is, in seconds of a clock that never goes back.
"""

import math
from collections import OrderedDict
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final

FREE_FAILURES: Final = 5
HALF_LIFE: Final = 60.0
FIRST_SPACING: Final = 1.0
LONGEST_SPACING: Final = 10.0
TABLE_SIZE: Final = 10_000


@dataclass(slots=True)
class _Source:
    failures: float
    counted_at: float
    next_slot: float


class Throttle:
    """`free_failures` are not slowed; `half_life`, `first_spacing` and `longest_spacing` are seconds.

    `table_size` sources are kept, the least recently failing are forgotten first.
    """

    def __init__(
        self,
        *,
        free_failures: int = FREE_FAILURES,
        half_life: float = HALF_LIFE,
        first_spacing: float = FIRST_SPACING,
        longest_spacing: float = LONGEST_SPACING,
        table_size: int = TABLE_SIZE,
    ) -> None:
        self._free_failures = free_failures
        self._half_life = half_life
        self._first_spacing = first_spacing
        self._longest_spacing = longest_spacing
        self._table_size = table_size
        self._sources: OrderedDict[str, _Source] = OrderedDict()

    def delay(self, source: str, now: float, patience: float) -> float | None:
        """Seconds to wait before this attempt is checked; None when that would be more than `patience` seconds.

        An attempt that may wait has taken its slot; one that got None has taken nothing.
        """
        entry = self._sources.get(throttle_key(source))
        if entry is None:
            return 0.0
        spacing = self._spacing(entry, now)
        if spacing == 0.0:
            return 0.0
        wait = max(0.0, entry.next_slot - now)
        if wait > patience:
            return None
        entry.next_slot = now + wait + spacing
        return wait

    def failed(self, source: str, now: float) -> None:
        """A password that was checked and was wrong."""
        key = throttle_key(source)
        entry = self._sources.get(key)
        if entry is None:
            entry = self._sources[key] = _Source(0.0, now, now)
            if len(self._sources) > self._table_size:
                self._sources.popitem(last=False)
        entry.failures = self._failures(entry, now) + 1
        entry.counted_at = now
        # The failure that begins the slowing down begins the first slot too.
        entry.next_slot = max(entry.next_slot, now + self._spacing(entry, now))
        self._sources.move_to_end(key)

    def succeeded(self, source: str, now: float) -> None:
        """A password that was right: its slot is given back. Earlier failures stay, they were no less wrong."""
        entry = self._sources.get(throttle_key(source))
        if entry is not None:
            entry.next_slot = max(now, entry.next_slot - self._spacing(entry, now))

    def __len__(self) -> int:
        return len(self._sources)

    def _failures(self, entry: _Source, now: float) -> float:
        half_lives = max(0.0, now - entry.counted_at) / self._half_life
        return entry.failures * math.pow(0.5, half_lives)

    def _spacing(self, entry: _Source, now: float) -> float:
        """Seconds between two attempts; 0.0 while the source is free."""
        # Rounded, so that the fifth of five quick failures counts as the fifth although the first has faded a little.
        beyond = round(self._failures(entry, now)) - self._free_failures
        if beyond < 0:
            return 0.0
        # The exponent is bounded first: 2 to the power of 1024 is an OverflowError.
        return min(self._longest_spacing, self._first_spacing * math.pow(2, min(beyond, 32)))


def throttle_key(source: str) -> str:
    """What is counted as one source.

    An IPv4 address (also one mapped into IPv6) by itself; an IPv6 address by its /64, which is what one customer
    gets to choose from; anything else, such as `unix:1000` for a peer's user id, as it is.
    """
    try:
        address = ip_address(source)
    except ValueError:
        return source
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return f"{IPv6Address(int(address) >> 64 << 64)}/64"
    return str(address)
