"""Generated pictures with the statistics of natural ones: dead leaves, shapes that cover one another.

Sizes of the shapes follow a power law, which gives natural images their 1/f spectrum, edges and flat areas. Nothing but
uniform random numbers, comparisons and products, so every machine generates the same bits.
"""

from __future__ import annotations

import numpy as np

SHAPES = 160
#: radius of a shape over the side of the picture
SMALLEST, LARGEST = 0.02, 0.6


def dead_leaves(random: np.random.Generator, height: int, width: int, channels: int) -> np.ndarray:
    """A picture, float32 ``[height, width, channels]`` with values in [0, 1]."""
    side = max(height, width)
    dark, bright = 0.25 * random.random(), 1 - 0.25 * random.random()
    picture = np.empty((height, width, channels), np.float32)
    picture[...] = _colour(random, channels)
    for _ in range(SHAPES):
        # Inverse of the distribution function of a density that falls with the third power of the radius.
        u = random.random()
        radius = side / np.sqrt(u / SMALLEST**2 + (1 - u) / LARGEST**2)
        y, x = random.random() * height, random.random() * width
        top, left = max(int(y - radius), 0), max(int(x - radius), 0)
        rows = np.arange(top, min(int(y + radius) + 1, height))[:, np.newaxis]
        columns = np.arange(left, min(int(x + radius) + 1, width))[np.newaxis]
        dy, dx = (rows - y) / radius, (columns - x) / radius
        if random.random() < 0.5:
            inside = dy * dy + dx * dx < 1
        else:
            inside = (np.abs(dy) < 0.3 + 0.7 * random.random()) & (np.abs(dx) < 0.3 + 0.7 * random.random())
        shade = 0.15 * (random.random() - 0.5) * dy + 0.15 * (random.random() - 0.5) * dx
        texture = 0.2 * random.random() * (random.random(shade.shape) - 0.5)
        colour = _colour(random, channels) + (shade + texture)[..., np.newaxis]
        area = picture[top : top + rows.shape[0], left : left + columns.shape[1]]
        area[inside] = colour[inside]
    return np.clip(dark + (bright - dark) * picture, 0, 1).astype(np.float32)


def _colour(random: np.random.Generator, channels: int) -> np.ndarray:
    """Mostly grey, as the world is."""
    return np.clip(random.random() + 0.3 * (random.random(channels) - 0.5), 0, 1)
