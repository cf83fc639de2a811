"""CUDA tactics of recurrent layers: a block or a cluster does a direction of some batch rows, all steps in a launch."""

from __future__ import annotations

import math

from ingot.kernels.common.activation import ActivationKind
from ingot.kernels.common.cuda import CPP, ceil_div
from ingot.kernels.spec import DType, Launch, NodeView
from ingot.targets import Target

from .attrs import RecurrentAttrs, RecurrentKind

AHEAD_ROWS = 8
#: batch rows of a block
ROWS = (1, 4)
#: dynamic shared memory that every device gives a block; what does not fit lies in a workspace
SHARED = 96 << 10
#: blocks of a cluster that shares units, where there are at least so many; threads of such a block; who has clusters
TEAM, TEAM_HIDDEN, TEAM_THREADS, TEAM_ARCHS = 8, 192, 128, ("sm_90a", "sm_110")
#: dynamic shared memory of such a block, at most, and from how many steps on it keeps weights there
TEAM_SHARED, TEAM_STEPS = 200 << 10, 4


def _rows(node: NodeView) -> int:
    return ROWS[node.inputs[0].type.shape[1] > 1]


def _blocks(node: NodeView) -> int:
    batch = node.inputs[0].type.shape[1]
    return node.attrs.direction.count * max(ceil_div(batch, _rows(node)), 1)


def _bytes(node: NodeView) -> int:
    """What a block works on: recurrent_cuda.c counts the same."""
    attrs: RecurrentAttrs = node.attrs
    padded = ceil_div(attrs.hidden, 16) * 16
    width = attrs.kind.gates * padded
    apart = padded if attrs.kind is RecurrentKind.GRU and attrs.linear_before_reset else 0
    return 4 * (AHEAD_ROWS * (width + apart) + _rows(node) * (width + 3 * padded))


def _bytes_team(node: NodeView) -> int:
    """Of a block of a cluster, which has the most units: recurrent_cuda.c counts the same."""
    attrs: RecurrentAttrs = node.attrs
    padded = ceil_div(attrs.hidden, 16) * 16
    most, rows = ceil_div(padded // 16, TEAM) * 16, _rows(node)
    apart = attrs.kind is RecurrentKind.GRU and attrs.linear_before_reset
    own = AHEAD_ROWS * (attrs.kind.gates + apart) + rows * (attrs.kind.gates + 1)
    least = 4 * (own * most + 3 * rows * padded)
    panel = 16 * ceil_div(attrs.hidden, 2) * 2 * node.inputs[2].type.dtype.size
    if node.inputs[2].type.dtype is DType.F32:
        panel = 64 * attrs.hidden
    held = max(min(attrs.kind.gates * most // 16, (TEAM_SHARED - least) // panel), 0)
    return least + held * panel if node.inputs[0].type.shape[0] >= TEAM_STEPS else least


def _bytes_s8(node: NodeView) -> int:
    attrs: RecurrentAttrs = node.attrs
    padded = ceil_div(attrs.hidden, 16) * 16
    width, state = attrs.kind.gates * padded, _rows(node) * padded
    inputs = ceil_div(node.inputs[0].type.shape[2], 16) * 16
    return 4 * ((AHEAD_ROWS + _rows(node)) * width + 2 * state) + 4 * state + 2 * AHEAD_ROWS * inputs


def workspace(node: NodeView) -> int:
    """Bytes of the workspace of the float kernels."""
    return 0 if _bytes(node) <= SHARED else _blocks(node) * _bytes(node)


def workspace_s8(node: NodeView) -> int:
    """Bytes of the workspace of the int8 kernel."""
    return 0 if _bytes_s8(node) <= SHARED else _blocks(node) * _bytes_s8(node)


def _is_usual(node: NodeView) -> bool:
    """Whether all activations are sigmoid and tanh, and nothing is special."""
    attrs: RecurrentAttrs = node.attrs
    wanted = {
        RecurrentKind.RNN: (ActivationKind.TANH,),
        RecurrentKind.GRU: (ActivationKind.SIGMOID, ActivationKind.TANH),
        RecurrentKind.LSTM: (ActivationKind.SIGMOID, ActivationKind.TANH, ActivationKind.TANH),
    }[attrs.kind]
    kinds = [tuple(a.kind for a in attrs.activations[i : i + len(wanted)]) for i in (0, 3)]
    plain = attrs.clip == math.inf and not attrs.input_forget and node.inputs[7] is None
    return plain and all(found == wanted for found in kinds[: attrs.direction.count])


def _launch(node: NodeView, source: str, kernel: str, threads: int, shared: int, exact: bool) -> Launch:
    return Launch(f"recurrent/{source}", kernel, (_blocks(node), 1, 1), threads, shared, exact=exact)


def launch(node: NodeView, target: Target, plain: bool) -> Launch:
    """``plain``: weights lie as in ONNX."""
    rows, usual = _rows(node), _is_usual(node)
    shares = target.arch in TEAM_ARCHS and node.attrs.hidden >= TEAM_HIDDEN and _bytes_team(node) <= TEAM_SHARED
    if shares and usual and not plain:
        kernel = f"recurrent_team<{CPP[node.inputs[1].type.dtype]}, {len(node.outputs)}, {rows}>"
        grid = (_blocks(node) * TEAM, 1, 1)
        return Launch("recurrent/recurrent_team.cu", kernel, grid, TEAM_THREADS, _bytes_team(node))
    weights = "recurrent_plain" if plain else f"recurrent_packed<{CPP[node.inputs[1].type.dtype]}>"
    kernel = f"recurrent<ingot::{weights}, {len(node.outputs)}, {rows}, {'true' if usual else 'false'}>"
    threads = 512 if rows == 1 and usual and not plain else 256
    shared = 0 if workspace(node) else _bytes(node)
    return _launch(node, "recurrent.cu", kernel, threads, shared, exact=False)


def launch_s8(node: NodeView, target: Target) -> Launch:
    rows, fine = _rows(node), node.attrs.fine is not None
    kernel = f"recurrent_s8<{len(node.outputs)}, {rows}, {'true' if fine else 'false'}>"
    shared = 0 if workspace_s8(node) else _bytes_s8(node)
    return _launch(node, "recurrent_s8.cu", kernel, 512 if rows == 1 and not fine else 256, shared, exact=True)
