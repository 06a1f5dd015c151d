"""The parts of the drawing, as its template reads them.

Numbers are texts here: templates would write them as the reader's language does, with a comma in some.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from .words import TableRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A rectangle with a class for its looks."""

    css: str
    x: str
    y: str
    width: str
    height: str
    title: str = ""
    label: str = ""
    label_x: str = ""
    label_y: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The mark at the end of a container, with how it ended."""

    is_loss: bool
    x: str
    y: str
    label: str
    label_x: str
    anchor: str


@dataclass(slots=True, kw_only=True)
class Lane:
    """What is drawn of one container."""

    label: str
    role: str
    y: str
    height: str
    title: str
    middle_y: str
    boxes: list[Box] = field(default_factory=list)
    end: End | None = None
    leaving_x: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A vertical line with a label: a tick, or what happened to the job."""

    x: str
    label: str
    css: str = ""
    anchor: str = "middle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A pause that the axis cuts."""

    x: str
    width: str
    middle_x: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Everything that the template needs."""

    width: int
    height: str
    axis_y: str
    bottom_y: str
    marks_y: str
    left: str
    title: str
    summary: list[str]
    ticks: list[Line]
    gaps: list[Gap]
    job: list[Box]
    lanes: list[Lane]
    links: list[str]
    marks: list[Line]
    legend: list[tuple[str, str]]
    """Name and text of each thing that occurs in the drawing."""
    table: list[TableRow]
    left_out: int
    units_are_known: bool

    @property
    def description(self) -> str:
        """The summary in one text, for the SVG's <desc>."""
        return " ".join(self.summary)
