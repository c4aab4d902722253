"""What the throttle counts with: failures that fade, and slots for those who have too many of them."""

import math
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

FIRST_SPACING: Final = 1.0
LONGEST_SPACING: Final = 10.0
LOOPBACK: Final = "127.0.0.0/8"
_NEVER: Final = -math.inf


@dataclass(frozen=True, slots=True)
class Pace:
    """`free` failures aren't slowed, and they fade by half in `half_life` seconds. The failure that is one too many
    begins slots, `first_spacing` seconds apart, doubling with each further one up to `longest_spacing`.
    """

    free: int
    half_life: float
    first_spacing: float = FIRST_SPACING
    longest_spacing: float = LONGEST_SPACING


class Bucket:
    """Failures of one kind. Times are seconds of a clock that never goes back."""

    __slots__ = ("_counted_at", "_failures", "_next_slot", "_pace", "new_again_at")

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._failures = 0.0
        self._counted_at = _NEVER
        self._next_slot = _NEVER
        self.new_again_at = _NEVER
        """When it counts as one that never failed; throttle.py says what that is good for."""

    def wait(self, now: float) -> float:
        """Seconds until its next slot; 0.0 while it is free."""
        return max(0.0, self._next_slot - now) if self.spacing(now) else 0.0

    def take(self, start: float, now: float) -> float:
        """Take the slot that begins at `start`. Returns its length in seconds, for `give_back`."""
        spacing = self.spacing(now)
        if spacing:
            self._next_slot = start + spacing
        return spacing

    def give_back(self, spacing: float, now: float) -> None:
        """A slot of this length was not needed after all."""
        if spacing:
            self._next_slot = max(now, self._next_slot - spacing)

    def fail(self, now: float) -> None:
        """One more failure."""
        self._failures = self._faded(now) + 1
        self._counted_at = now
        # The failure that begins the slowing down begins the first slot too.
        self._next_slot = max(self._next_slot, now + self.spacing(now))

    def spacing(self, now: float) -> float:
        """Seconds between two attempts; 0.0 while it is free."""
        # Rounded, so that the fifth of five quick failures counts as the fifth although the first has faded a little.
        beyond = round(self._faded(now)) - self._pace.free
        if beyond < 0:
            return 0.0
        # The exponent is bounded first: 2 to the power of 1024 is an OverflowError.
        return min(self._pace.longest_spacing, self._pace.first_spacing * math.pow(2, min(beyond, 32)))

    def _faded(self, now: float) -> float:
        return self._failures * math.pow(0.5, max(0.0, now - self._counted_at) / self._pace.half_life)


@dataclass(frozen=True, slots=True)
class Source:
    """What is counted as one source, and the network around it; `network` is empty where that is no wider."""

    key: str
    network: str = ""


@lru_cache(maxsize=4096)
def source_of(source: str) -> Source:
    """An IPv4 address (also one mapped into IPv6) is a source by itself; all of loopback is one, since whoever is on
    the machine has each of its 16 million.

    Of IPv6 a /64 is, which is what one host gets to choose from, and its network the /48, which one customer may have.
    Anything else, such as `unix:1000` for a peer's user id, is a source as it is.
    """
    try:
        address = ip_address(source)
    except ValueError:
        return Source(source)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return source_of(str(address.ipv4_mapped))
        number = int(address)
        return Source(f"{IPv6Address(number >> 64 << 64)}/64", f"{IPv6Address(number >> 80 << 80)}/48")
    return Source(LOOPBACK if address.is_loopback else str(address))
