"""The demo's picture: what the pole did, how long the engine took each time, and the digits it read."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ingot.svg import GRID, INK, MUTED, Axes, Drawing

BLUE, ORANGE, GREEN, SAND = "#2563eb", "#ea580c", "#15803d", "#cbd5e1"
WIDTH, HEIGHT, LEFT, RIGHT = 1200, 1070, 76, 36
POLE_LENGTH, MAX_FORCE, UPRIGHT = 0.6, 12.0, 30.0  # m, N, degrees: as plant.c and closed_loop.c have them


@dataclass
class Reading:
    """The digits part: images [n, 8, 8] uint8 of 0..16, labels and answers [n], and the reference's accuracy."""

    images: np.ndarray
    labels: np.ndarray
    answers: np.ndarray
    reference_accuracy: float

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.answers == self.labels))


def draw(log: np.ndarray, reading: Reading, machine: str, path: Path) -> None:
    """Writes the picture to path (SVG). log: the closed loop's CSV as a structured array; machine: one line."""
    drawing = Drawing(WIDTH, HEIGHT, "Ingot: the demo's run")
    drawing.text(LEFT, 44, "Ingot: a policy at 1 kHz and a digit classifier", 24, font_weight=700)
    drawing.text(LEFT, 68, machine, 13, fill=MUTED)
    span = WIDTH - LEFT - RIGHT
    _film(drawing, log, Axes(drawing, LEFT, 120, span, 190))
    _position(log, Axes(drawing, LEFT, 356, span, 100))
    _angle(log, Axes(drawing, LEFT, 498, span, 100))
    _force(log, Axes(drawing, LEFT, 640, span, 70))
    _latency(log, Axes(drawing, LEFT, 798, 540, 190))
    _digits(drawing, reading, 700, 798, WIDTH - RIGHT - 700)
    drawing.save(path)


def _upright(log: np.ndarray) -> np.ndarray:
    """The angle in radians counted from the upright position that the pole reached."""
    return log["theta_rad"] - 2 * math.pi * round(float(log["theta_rad"][-1]) / (2 * math.pi))


def _times(log: np.ndarray) -> range:
    return range(math.ceil(float(log["time_s"][-1])) + 1)


def _film(drawing: Drawing, log: np.ndarray, axes: Axes) -> None:
    """The cart and the pole every tenth of a second, set out along the time axis."""
    end = _times(log)[-1]
    axes.set_scales((0, end), (-1, 1))
    legend = [(ORANGE, "down"), (BLUE, f"within {UPRIGHT:.0f}° of up")]
    axes.title("Inverted pendulum on a cart, a pose every 0.1 s", legend)
    scale, ground = 130.0, axes.top + axes.height / 2  # pixels a metre
    drawing.line(axes.left, ground + 10, axes.left + axes.width, ground + 10, stroke=GRID, stroke_width=2)
    angles, tips = _upright(log), []
    for i in range(0, len(log), 10):
        x = axes.x(log["time_s"][i])
        tips.append((x + scale * POLE_LENGTH * math.sin(angles[i]), ground - scale * POLE_LENGTH * math.cos(angles[i])))
    drawing.path(tips, stroke=SAND, stroke_width=1.5)
    for i in range(0, len(log), 100):
        x, (tip_x, tip_y) = axes.x(log["time_s"][i]), tips[i // 10]
        up = math.cos(angles[i]) >= math.cos(math.radians(UPRIGHT))
        colour = BLUE if up else ORANGE
        drawing.rect(x - 4.5, ground - 3.5, 9, 7, rx=2, fill=INK, fill_opacity=0.75)
        drawing.line(x, ground, tip_x, tip_y, stroke=colour, stroke_width=2.2, stroke_linecap="round", opacity=0.85)
        drawing.circle(tip_x, tip_y, 3, fill=colour)
    pushed = np.flatnonzero(log["push_n"])
    if len(pushed):
        x, y = axes.x(log["time_s"][pushed[0]]), ground - scale * POLE_LENGTH - 16
        drawing.line(x - 34, y, x - 10, y, stroke=GREEN, stroke_width=3)
        drawing.add("polygon", points=f"{x - 10:.1f},{y - 5:.1f} {x:.1f},{y:.1f} {x - 10:.1f},{y + 5:.1f}", fill=GREEN)
        drawing.text(x + 8, y + 4, "someone nudges the tip", 11, fill=GREEN)


def _position(log: np.ndarray, axes: Axes) -> None:
    few = log[::10]
    reach = math.ceil(4 * float(np.abs(log["x_m"]).max()) + 0.2) / 4
    axes.set_scales((0, _times(log)[-1]), (-reach, reach))
    axes.title("Cart position, m", [(BLUE, "cart"), (MUTED, "its target")])
    axes.grid_x(_times(log), None)
    ticks = [t / 2 for t in range(-3, 4) if abs(t) <= 2 * reach] if reach < 2 else [-reach, 0, reach]
    axes.grid_y(ticks, lambda tick: f"{tick:g}")
    axes.plot(few["time_s"], few["x_m"], stroke=BLUE, stroke_width=2)
    axes.plot(few["time_s"], few["target_m"], stroke=INK, stroke_opacity=0.6, stroke_width=1.5, stroke_dasharray="5 4")


def _angle(log: np.ndarray, axes: Axes) -> None:
    few, degrees = log[::10], np.degrees(_upright(log))[::10]
    low, high = min(-30.0, float(degrees.min())) - 20, max(30.0, float(degrees.max())) + 20
    axes.set_scales((0, _times(log)[-1]), (low, high))
    axes.title("Pole angle, degrees from upright")
    axes.grid_x(_times(log), None)
    step = 90 if high - low < 500 else 360
    axes.grid_y(range(math.ceil(low / step) * step, math.floor(high) + 1, step))
    axes.plot(few["time_s"], degrees, stroke=ORANGE, stroke_width=2)


def _force(log: np.ndarray, axes: Axes) -> None:
    few = log[::5]
    axes.set_scales((0, _times(log)[-1]), (-1.1 * MAX_FORCE, 1.1 * MAX_FORCE))
    axes.title("Force on the cart, N", [(MUTED, "what the engine decides, 1000 times a second")])
    axes.grid_x(_times(log), lambda tick: f"{tick} s")
    axes.grid_y([-MAX_FORCE, 0, MAX_FORCE], lambda tick: f"{tick:g}")
    axes.plot(few["time_s"], MAX_FORCE * few["action"], stroke=MUTED, stroke_width=1.5)


def _latency(log: np.ndarray, axes: Axes) -> None:
    """Histogram of the engine's run times, both axes logarithmic so that a single late run can be seen."""
    microseconds = np.sort(log["run_ns"] / 1000)
    count = len(microseconds)
    low, high = 0.8 * max(float(microseconds[0]), 0.01), max(1.25 * float(microseconds[-1]), 20.0)
    edges = np.geomspace(low, high, 73)
    bars = np.histogram(microseconds, edges)[0]
    axes.set_scales((low, high), (0.6, 8 * float(bars.max())), log_x=True, log_y=True)
    axes.title(f"Time in the engine, {count:,} runs")
    decades = [10.0**power for power in range(-2, 7)]
    axes.grid_x([t * f for t in decades for f in (1, 2, 5) if low <= t * f <= high], _time_label)
    axes.grid_y([d for d in decades if 1 <= d <= 8 * bars.max()], lambda tick: f"{tick:,.0f}")
    bottom = axes.top + axes.height
    for lower, upper, height in zip(edges, edges[1:], bars):
        if height:
            x, y = axes.x(lower), axes.y(float(height))
            axes.drawing.rect(x + 0.5, y, axes.x(upper) - x - 1, bottom - y, fill=BLUE, fill_opacity=0.85)
    axes.drawing.line(axes.left, bottom, axes.left + axes.width, bottom, stroke=MUTED)
    marks = [("p50", 0.5), ("p99.9", 0.999), ("max", 1.0)]
    for row, (name, share) in enumerate(marks):
        value = float(microseconds[max(0, math.ceil(share * count) - 1)])
        x, y = axes.x(value), axes.top + 14 + 18 * row
        axes.drawing.line(x, y - 11, x, bottom, stroke=ORANGE, stroke_width=1.5, stroke_dasharray="3 3")
        anchor, shift = ("start", 6) if x + 115 < axes.left + axes.width else ("end", -6)
        halo = {"stroke": "#fff", "stroke_width": 4, "stroke_linejoin": "round", "paint_order": "stroke"}
        style = {"fill": ORANGE, "font_weight": 600, "text_anchor": anchor}
        axes.drawing.text(x + shift, y, f"{name} {value:.2f} µs", 12, **style, **halo)
    missed = int(log["missed"].sum())
    note = f"deadline misses: {missed} of {count:,} periods of 1 ms; a bar counts runs, on logarithmic axes"
    axes.drawing.text(axes.left, bottom + 40, note, 12, fill=MUTED)


def _time_label(microseconds: float) -> str:
    return f"{microseconds / 1000:g} ms" if microseconds >= 1000 else f"{microseconds:g} µs"


def _digits(drawing: Drawing, reading: Reading, left: float, top: float, width: float) -> None:
    """Three held-out images of every digit, a column each, with the engine's answers; what it got wrong first."""
    gap, rows = 8, 3
    cell = (width - gap * 9) / 10
    drawing.text(left, top - 10, f"Held-out digits: {100 * reading.accuracy:.2f} % read right", 13, font_weight=600)
    wrong = reading.answers != reading.labels
    for digit in range(10):
        of_this = np.flatnonzero(reading.labels == digit)
        of_this = of_this[np.argsort(~wrong[of_this], kind="stable")]
        for row, index in enumerate(of_this[:rows]):
            x, y = left + digit * (cell + gap), top + row * (cell + 26)
            drawing.rect(x, y, cell, cell, rx=3, fill=INK)
            _pixels(drawing, reading.images[index], x, y, cell)
            colour = ORANGE if wrong[index] else MUTED
            answer = f"{reading.answers[index]}" + (f", not {digit}" if wrong[index] else "")
            style = {"fill": colour, "text_anchor": "middle", "font_weight": 600}
            drawing.text(x + cell / 2, y + cell + 15, answer, 11, **style)
            if wrong[index]:
                drawing.rect(x, y, cell, cell, rx=3, fill="none", stroke=ORANGE, stroke_width=2)
    note = f"{len(reading.labels)} images; the ONNX reference reads {100 * reading.reference_accuracy:.2f} % right"
    drawing.text(left, top + 190 + 40, note, 12, fill=MUTED)


def _pixels(drawing: Drawing, image: np.ndarray, left: float, top: float, size: float) -> None:
    margin = 3.0
    pixel = (size - 2 * margin) / 8
    for (row, column), value in np.ndenumerate(image):
        if value:
            x, y = left + margin + column * pixel, top + margin + row * pixel
            drawing.rect(x, y, pixel + 0.2, pixel + 0.2, fill="#fff", fill_opacity=float(value) / 16)
