"""The picture of ``ingot compare --plot``: for each step the error that is there and the error that it adds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ingot.cli.common import shorten
from ingot.cli.layers import Layer
from ingot.errors import ResourceError
from ingot.svg import INK, MUTED, Axes, Drawing

COLOURS = {"fp32": "#2563eb", "int8": "#ea580c", "fp16": "#15803d", "bf16": "#7c3aed"}
OTHER, OTHER_COLOUR = "other", "#64748b"
LEFT, RIGHT, TOP, HEIGHT, BOTTOM = 76, 36, 84, 340, 52
#: pixels a step; of the page
SLOTS, WIDTHS = (7.0, 48.0), (760.0, 2400.0)
LINE = 18
#: labels below this many pixels apart are left out
LABEL_GAP = 28
#: decades that are drawn at most: what lies below sits at the bottom
DECADES = 6


def draw(layers: Sequence[Layer], engine: str, reference: str, path: Path) -> None:
    """Write the picture as SVG; :class:`ResourceError` when the file cannot be written."""
    slot = min(max((WIDTHS[0] - LEFT - RIGHT) / max(len(layers), 1), SLOTS[0]), SLOTS[1])
    width = min(max(WIDTHS[0], LEFT + RIGHT + slot * len(layers)), WIDTHS[1])
    worst = sorted((layer for layer in layers if layer.worst), key=lambda layer: -layer.added)
    drawing = Drawing(width, TOP + HEIGHT + BOTTOM + LINE * (len(worst) + 2), f"Errors of the steps of {engine}")
    drawing.text(LEFT, 30, f"{engine}: where the error enters", 16, font_weight=600)
    _key(drawing, [p for p in (*COLOURS, OTHER) if any(_precision(layer) == p for layer in layers)])
    axes = Axes(drawing, LEFT, TOP, width - LEFT - RIGHT, HEIGHT)
    axes.title(f"against {reference}, over the norm of the tensor")
    low, high = _decades(layers)
    axes.set_scales((-0.5, max(len(layers), 1) - 0.5), (10.0**low, 10.0**high), log_y=True)
    axes.grid_y([10.0**k for k in range(low, high + 1)], _percent)
    every = _every(len(layers), axes.width)
    for layer in layers[::every]:
        drawing.text(axes.x(layer.step), TOP + HEIGHT + 16, str(layer.step), 11, fill=MUTED, text_anchor="middle")
    drawing.text(LEFT + axes.width / 2, TOP + HEIGHT + 36, "step", 12, fill=MUTED, text_anchor="middle")
    _bars(axes, layers, 10.0**low)
    _points(axes, layers)
    for place, layer in enumerate(worst, 1):
        top = min(axes.y(layer.added), axes.y(layer.relative))
        drawing.text(axes.x(layer.step), top - 8, str(place), 12, text_anchor="middle", font_weight=600)
        bottom = TOP + HEIGHT + BOTTOM + LINE * place
        drawing.text(LEFT, bottom, str(place), 12, font_weight=600)
        drawing.text(LEFT + 20, bottom, _line(layer, width), 12)
    try:
        drawing.save(path)
    except OSError as error:
        raise ResourceError(f"{path}: {error.strerror or error}", "file") from error


def _key(drawing: Drawing, precisions: Sequence[str]) -> None:
    """What the marks are and what their colours mean."""
    drawing.circle(LEFT + 5, 46, 4, fill="none", stroke=INK)
    drawing.text(LEFT + 16, 50, "relative error of a step's result", 12, fill=MUTED)
    drawing.rect(LEFT + 222, 40, 8, 11, fill=MUTED, fill_opacity=0.5)
    drawing.text(LEFT + 238, 50, "error that the step adds", 12, fill=MUTED)
    for place, precision in enumerate(precisions):
        x = LEFT + 420 + 64 * place
        drawing.rect(x, 40, 11, 11, fill=COLOURS.get(precision, OTHER_COLOUR))
        drawing.text(x + 17, 50, precision, 12, fill=MUTED)


def _precision(layer: Layer) -> str:
    return layer.precision if layer.precision in COLOURS else OTHER


def _colour(layer: Layer) -> str:
    return COLOURS.get(layer.precision, OTHER_COLOUR)


def _decades(layers: Sequence[Layer]) -> tuple[int, int]:
    """Powers of ten between which the errors lie."""
    known = [e for layer in layers for e in (layer.relative, layer.added) if e is not None and 0 < e < math.inf]
    high = math.ceil(math.log10(max(known, default=1.0)) + 0.05)
    low = math.floor(math.log10(min(known, default=1e-3)))
    return max(low, high - DECADES, -300), max(high, low + 1, -299)


def _percent(value: float) -> str:
    if value < 1e-4:
        return f"{value:.2g}"
    return f"{100 * value:.3g} %" if value < 1 else f"{100 * value:.0f} %"


def _every(count: int, width: float) -> int:
    """How many steps from one number to the next on the axis."""
    least = LABEL_GAP * count / width
    return next(n for k in range(12) for n in (10**k, 2 * 10**k, 5 * 10**k) if n >= least)


def _hint(layer: Layer) -> str:
    return (
        f"step {layer.step}: {layer.layer}\n{layer.kernel}, {layer.precision}\n"
        f"relative {layer.relative:.3g} ({layer.sqnr:.1f} dB), adds {layer.added:.3g}"
    )


def _line(layer: Layer, width: float) -> str:
    figures = f"adds {_percent(layer.added)}, has {_percent(layer.relative)}"
    room = int((width - LEFT - RIGHT) / 7.2) - len(figures) - len(layer.kernel) - 18
    return f"step {layer.step}: {shorten(layer.layer, max(room, 12))} ({layer.kernel}) {figures}"


def _bars(axes: Axes, layers: Sequence[Layer], floor: float) -> None:
    breadth = max(0.7 * axes.width / max(len(layers), 1), 1.0)
    bottom = axes.top + axes.height
    for layer in layers:
        if layer.added is None or layer.added <= floor:
            continue
        top = axes.y(min(layer.added, axes.y.high))
        colour = _colour(layer)
        look = {"fill": colour, "fill_opacity": 0.85 if layer.worst else 0.4, "hint": _hint(layer)}
        axes.drawing.rect(axes.x(layer.step) - breadth / 2, top, breadth, bottom - top, **look)


def _points(axes: Axes, layers: Sequence[Layer]) -> None:
    known = [layer for layer in layers if layer.relative is not None]
    heights = [min(layer.relative, axes.y.high) for layer in known]
    axes.plot([layer.step for layer in known], heights, stroke=INK, stroke_width=1, stroke_opacity=0.5)
    radius = min(max(0.25 * axes.width / max(len(layers), 1), 1.8), 4.0)
    for layer, height in zip(known, heights):
        place = axes.x(layer.step), axes.y(height)
        axes.drawing.circle(*place, radius, fill=_colour(layer), stroke=INK, hint=_hint(layer))
