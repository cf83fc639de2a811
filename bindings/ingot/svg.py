"""Just enough SVG for one good picture: shapes, text, and axes that map data to the page."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

FONT = "Inter, 'Segoe UI', 'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"
INK, MUTED, GRID, PAPER = "#1b2430", "#64748b", "#e5e9ef", "#ffffff"


def number(value: float) -> str:
    """At most two decimals, without a trailing zero: coordinates stay short."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


class Drawing:
    """Elements in the order they are painted, on a page of width by height pixels. Keywords are SVG attributes, with
    an underscore for each hyphen."""

    def __init__(self, width: float, height: float, title: str):
        self.width, self.height = width, height
        self.elements: list[str] = [f"<title>{escape(title)}</title>"]
        self.rect(0, 0, width, height, fill=PAPER)

    def add(self, tag: str, content: str | None = None, hint: str = "", **attributes: object) -> None:
        """``hint`` is what a browser shows while the pointer is on the element."""
        words = []
        for key, value in attributes.items():
            text = number(value) if isinstance(value, float) else str(value)
            words.append(f' {key.replace("_", "-")}="{escape(text)}"')
        inside = (f"<title>{escape(hint)}</title>" if hint else "") + escape(content or "")
        end = f">{inside}</{tag}>" if inside or content is not None else "/>"
        self.elements.append(f"<{tag}{''.join(words)}{end}")

    def rect(self, x: float, y: float, width: float, height: float, **attributes: object) -> None:
        self.add("rect", x=float(x), y=float(y), width=float(width), height=float(height), **attributes)

    def line(self, x1: float, y1: float, x2: float, y2: float, **attributes: object) -> None:
        self.add("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), **attributes)

    def circle(self, x: float, y: float, radius: float, **attributes: object) -> None:
        self.add("circle", cx=float(x), cy=float(y), r=float(radius), **attributes)

    def path(self, points: Iterable[tuple[float, float]], **attributes: object) -> None:
        """An open line through points, already in page coordinates."""
        steps = " ".join(f"{number(x)},{number(y)}" for x, y in points)
        attributes = {"fill": "none", "stroke_linejoin": "round", "stroke_linecap": "round"} | attributes
        self.add("polyline", points=steps, **attributes)

    def text(self, x: float, y: float, content: str, size: float = 12, **attributes: object) -> None:
        attributes = {"fill": INK} | attributes
        self.add("text", content, x=float(x), y=float(y), font_size=float(size), **attributes)

    def legend(self, x: float, y: float, entries: Sequence[tuple[str, str]]) -> None:
        """(colour, name) pairs in one line of text that ends at x: whatever font is there, nothing overlaps."""
        marks = [f'<tspan fill="{colour}">\u25cf</tspan> {escape(name)}' for colour, name in entries]
        body = "\u2003".join(marks)
        place = f'x="{number(x)}" y="{number(y)}" font-size="12" text-anchor="end"'
        self.elements.append(f'<text {place} fill="{MUTED}">{body}</text>')

    def save(self, path: Path) -> None:
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(self.width)}" height="{number(self.height)}" '
            f'viewBox="0 0 {number(self.width)} {number(self.height)}" font-family="{escape(FONT)}">'
        )
        path.write_text("\n".join([head, *self.elements, "</svg>", ""]), encoding="utf-8")


@dataclass
class Scale:
    """Maps data from [low, high] to page coordinates [start, end], linearly or by logarithm."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        low, high = self.low, self.high
        if self.logarithmic:
            value, low, high = math.log(max(value, low)), math.log(low), math.log(high)
        return self.start + (value - low) / (high - low) * (self.end - self.start)


@dataclass
class Axes:
    """A rectangle of the page with a scale for each direction, a grid and labels."""

    drawing: Drawing
    left: float
    top: float
    width: float
    height: float
    x: Scale = field(init=False)
    y: Scale = field(init=False)

    def set_scales(
        self, x: tuple[float, float], y: tuple[float, float], log_x: bool = False, log_y: bool = False
    ) -> None:
        """Gives the data's ranges."""
        self.x = Scale(*x, self.left, self.left + self.width, log_x)
        self.y = Scale(*y, self.top + self.height, self.top, log_y)

    def title(self, content: str, legend: Sequence[tuple[str, str]] = ()) -> None:
        """A heading above the axes, at its right end the names of the colours."""
        self.drawing.text(self.left, self.top - 10, content, 13, font_weight=600)
        if legend:
            self.drawing.legend(self.left + self.width, self.top - 10, legend)

    def grid_x(self, ticks: Sequence[float], label: Callable[[float], str] | None = str) -> None:
        """Vertical lines, with labels below unless label is None."""
        for tick in ticks:
            x = self.x(tick)
            self.drawing.line(x, self.top, x, self.top + self.height, stroke=GRID)
            if label is not None:
                y = self.top + self.height + 16
                self.drawing.text(x, y, label(tick), 11, fill=MUTED, text_anchor="middle")

    def grid_y(self, ticks: Sequence[float], label: Callable[[float], str] = str) -> None:
        """Horizontal lines with labels on the left."""
        for tick in ticks:
            y = self.y(tick)
            self.drawing.line(self.left, y, self.left + self.width, y, stroke=GRID)
            self.drawing.text(self.left - 8, y + 4, label(tick), 11, fill=MUTED, text_anchor="end")

    def plot(self, xs: Iterable[float], ys: Iterable[float], **attributes: object) -> None:
        """A line through data points."""
        self.drawing.path(((self.x(x), self.y(y)) for x, y in zip(xs, ys)), **attributes)
