"""What an engine's outputs are worth at their task, and how far from those of FP32 that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

#: a box counts when its score reaches CLEAR; it is confirmed by a box of the same class at IoU 0.5 that reaches FAINT,
#: so that scores that move a little across one threshold are not counted as boxes lost
CLEAR, FAINT = 0.5, 0.3
IOU, SUPPRESS = 0.5, 0.45


@dataclass(frozen=True)
class Score:
    """``value`` at the task in its unit; ``change`` from FP32, in per cent of FP32 or in points; ``count`` of cases."""

    value: float
    change: float
    count: int
    agreement: float = 100.0  #: per cent of cases decided as FP32 does


def top1(labels: np.ndarray | None, found: np.ndarray, float_found: np.ndarray) -> Score:
    """Per cent right, points from FP32; without labels FP32 is right."""
    agreement = 100 * float(np.mean(found == float_found))
    labels = float_found if labels is None else labels
    right, float_right = (100 * float(np.mean(x == labels)) for x in (found, float_found))
    return Score(right, right - float_right, len(found), agreement)


def decisions(found: np.ndarray, float_found: np.ndarray) -> Score:
    """Per cent of yes-or-no decisions (or pixels' classes) that are FP32's."""
    agreement = 100 * float(np.mean(found == float_found))
    return Score(agreement, agreement - 100, len(found), agreement)


def figure(found: float, float_found: float, count: int) -> Score:
    """One number at the task, such as a cost: per cent from FP32's."""
    return Score(found, 100 * (found - float_found) / abs(float_found), count)


def actions(found: np.ndarray, float_found: np.ndarray) -> Score:
    """Relative error of actions in per cent: norm of the difference over norm."""
    error = 100 * float(np.linalg.norm(found - float_found) / np.linalg.norm(float_found))
    return Score(error, -error, len(found))


Boxes = np.ndarray
"""float32 [n, 6]: left, top, right, bottom, score, class; a class's boxes do not overlap above SUPPRESS."""


def boxes(found: Sequence[Boxes], float_found: Sequence[Boxes]) -> Score:
    """F1, in per cent: clear boxes of FP32 that are confirmed, and clear boxes that FP32 confirms."""
    pairs = list(zip(found, float_found))
    kept = sum(_confirmed(reference, own) for own, reference in pairs)
    true = sum(_confirmed(own, reference) for own, reference in pairs)
    expected, given = (sum(int((b[:, 4] >= CLEAR).sum()) for b in side) for side in (float_found, found))
    f1 = 200 * kept * true / max(kept * given + true * expected, 1)
    return Score(f1, f1 - 100, expected)


def _confirmed(clear: Boxes, faint: Boxes) -> int:
    """How many clear boxes of the first have their own box in the second."""
    clear, faint = clear[clear[:, 4] >= CLEAR], faint[faint[:, 4] >= FAINT]
    overlap = iou(clear, faint) * (clear[:, None, 5] == faint[None, :, 5])
    free = np.ones(len(faint), bool)
    count = 0
    for row in overlap:
        best = int(np.argmax(row * free)) if len(faint) else -1
        if best >= 0 and free[best] and row[best] >= IOU:
            free[best] = False
            count += 1
    return count


def iou(a: Boxes, b: Boxes) -> np.ndarray:
    """[len(a), len(b)]: intersection over union."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    inside = np.prod(np.clip(high - low, 0, None), axis=2)
    area = [np.prod(x[:, 2:4] - x[:, :2], axis=1) for x in (a, b)]
    return inside / np.maximum(area[0][:, None] + area[1][None] - inside, 1e-12)


def suppress(candidates: Boxes) -> Boxes:
    """Non-maximum suppression within each class."""
    candidates = candidates[np.argsort(-candidates[:, 4], kind="stable")]
    kept: list[int] = []
    overlap = iou(candidates, candidates)
    for i, box in enumerate(candidates):
        if all(candidates[j, 5] != box[5] or overlap[i, j] <= SUPPRESS for j in kept):
            kept.append(i)
    return candidates[kept]


def yolox_boxes(output: np.ndarray, size: int = 416) -> Boxes:
    """Boxes of YOLOX's raw output [3549, 85]: centres and logarithms of extents in cells of strides 8, 16 and 32."""
    cells, strides = [], []
    for stride in (8, 16, 32):
        side = size // stride
        y, x = np.mgrid[:side, :side]
        cells.append(np.stack([x.ravel(), y.ravel()], 1))
        strides.append(np.full(side * side, stride))
    grid, stride = np.concatenate(cells), np.concatenate(strides)[:, None]
    centre, extent = (output[:, :2] + grid) * stride, np.exp(output[:, 2:4]) * stride
    scores = output[:, 4:5] * output[:, 5:]
    kind = scores.argmax(1)
    score = scores.max(1)
    found = np.concatenate([centre - extent / 2, centre + extent / 2, score[:, None], kind[:, None]], 1)
    return suppress(found[score >= FAINT])


def face_boxes(scores: np.ndarray, corners: np.ndarray) -> Boxes:
    """Boxes of UltraFace's outputs [4420, 2] and [4420, 4], corners as shares of the image."""
    found = np.concatenate([corners, scores[:, 1:], np.zeros((len(scores), 1), np.float32)], 1)
    return suppress(found[scores[:, 1] >= FAINT])


def si_sdr(estimate: np.ndarray, clean: np.ndarray) -> float:
    """Scale-invariant signal-to-distortion ratio in dB (J. Le Roux et al., "SDR - half-baked or well done?", 2019)."""
    target = clean * (estimate @ clean / (clean @ clean))
    return float(10 * np.log10((target @ target) / ((estimate - target) @ (estimate - target))))
