"""The difference of two series that were measured in pairs, and how far it can be trusted."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

Z99 = 2.5758293035489004
"""Of the normal distribution: with thousands of pairs Student's t is the same."""
TRIMMED = 0.1


@dataclass(frozen=True)
class Interval:
    """A difference and its 99% confidence interval, in the unit of what was measured; `mean` is that of both series."""

    difference: float
    half_width: float
    mean: float

    @property
    def shares(self) -> tuple[float, float]:
        """The interval's ends as parts of the mean."""
        return (self.difference - self.half_width) / self.mean, (self.difference + self.half_width) / self.mean

    def lies_within(self, share: float) -> bool:
        low, high = self.shares
        return -share <= low and high <= share

    def text(self) -> str:
        low, high = self.shares
        return f"{low:+.2%} to {high:+.2%}"


def raw(first: Sequence[float], second: Sequence[float]) -> Interval:
    """The mean of the differences of pairs, and their standard error times z."""
    differences = [one - other for one, other in zip(first, second, strict=True)]
    half_width = Z99 * math.sqrt(variance(differences) / len(differences))
    return Interval(fmean(differences), half_width, fmean([*first, *second]))


def trimmed(first: Sequence[float], second: Sequence[float], share: float = TRIMMED) -> Interval:
    """The same without the largest and the smallest tenth of the differences, which are the machine's (Tukey and
    McLaughlin's interval: the standard error is that of the winsorized differences). The mean is trimmed alike."""
    differences = sorted(one - other for one, other in zip(first, second, strict=True))
    count = len(differences)
    cut = int(share * count)
    middle = differences[cut : count - cut]
    winsorized = [middle[0]] * cut + middle + [middle[-1]] * cut
    half_width = Z99 * math.sqrt(variance(winsorized) / count) / (1 - 2 * cut / count)
    both = sorted([*first, *second])
    cut_of_both = int(share * len(both))
    return Interval(fmean(middle), half_width, fmean(both[cut_of_both : len(both) - cut_of_both]))
