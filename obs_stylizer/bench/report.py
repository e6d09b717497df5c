"""A benchmark's rows: what was measured, what was wanted, whether it was reached."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Figure:
    """One number.

    Attributes:
        name: what it is.
        value: measured.
        unit: fps, ms, MB, %, x (a ratio) or "" (a count).
        bound: wanted at least (``at_least``) or at most; None where nothing is asked.
    """

    name: str
    value: float
    unit: str
    bound: float | None = None
    at_least: bool = True

    @property
    def reached(self) -> bool:
        """Whether the bound is met; True without one."""
        if self.bound is None:
            return True
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    @property
    def text(self) -> str:
        """The number with its unit."""
        digits = 0 if self.unit in ("", "MB") else 2 if self.unit == "x" else 1
        return f"{self.value:.{digits}f} {self.unit}".strip()

    @property
    def bound_text(self) -> str:
        """The bound for people."""
        if self.bound is None:
            return ""
        return f"{'≥' if self.at_least else '≤'} {self.bound:g} {self.unit}".strip()


@dataclass(slots=True)
class Row:
    """Some figures of one measurement; ``skipped`` says why there are none."""

    title: str
    figures: list[Figure] = field(default_factory=list)
    note: str = ""
    skipped: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return plain values for JSON."""
        return {
            "title": self.title,
            "note": self.note,
            "skipped": self.skipped,
            "figures": [{**asdict(f), "reached": f.reached} for f in self.figures],
        }
