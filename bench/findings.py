"""What was demanded and what was measured, side by side: met, or missed and by how much."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report import Spread, align


@dataclass(frozen=True)
class Finding:
    """One figure beside its requirement. `limit` is the least that will do, or with `at_most` the most; None: the
    figure is only stated. `form` and `unit` are for the reader."""

    what: str
    spread: Spread
    limit: float | None = None
    at_most: bool = False
    form: str = ".2f"
    unit: str = ""

    @property
    def is_met(self) -> bool:
        """The median decides."""
        if self.limit is None:
            return True
        return self.spread.median <= self.limit if self.at_most else self.spread.median >= self.limit

    def verdict(self) -> str:
        if self.limit is None:
            return ""
        if self.is_met:
            return "met"
        by = abs(self.spread.median - self.limit)
        share = f" ({by / self.limit:.1%})" if self.limit else ""
        return f"missed by {by:{self.form}}{self.unit}{share}"

    def required(self) -> str:
        if self.limit is None:
            return "stated"
        return f"at {'most' if self.at_most else 'least'} {self.limit:{self.form}}{self.unit}"

    def as_data(self) -> dict[str, object]:
        limit = (
            {} if self.limit is None else {"at_most" if self.at_most else "at_least": self.limit, "met": self.is_met}
        )
        spread = {"median": self.spread.median, "least": self.spread.least, "most": self.spread.most}
        return {"what": self.what, "unit": self.unit.strip(), **limit, **spread}


def findings_table(findings: Sequence[Finding]) -> str:
    """One line each: what, required, measured, and whether that will do."""
    rows = [["what", "required", "measured", ""]]
    for finding in findings:
        measured = finding.spread.text(finding.form) + finding.unit
        rows.append([finding.what, finding.required(), measured, finding.verdict()])
    return align(rows)


def summary(findings: Sequence[Finding]) -> str:
    demanded = [finding for finding in findings if finding.limit is not None]
    missed = [finding for finding in demanded if not finding.is_met]
    if not demanded:
        return ""
    return f"{len(demanded) - len(missed)} of {len(demanded)} met" + (f", {len(missed)} missed" if missed else "")
