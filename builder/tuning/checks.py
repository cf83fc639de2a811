"""What a kernel itself says of a candidate: its check, asked without data and without a run."""

from __future__ import annotations

from typing import Any

import numpy as np

from ingot._kernel import Description, kernels, make_params, refusal
from ingot.builder.ir import Node, Value
from ingot.builder.tuning.keys import Candidate
from ingot.kernels.spec import DENSE, DType, TensorType
from ingot.targets import Target

#: constants that are not packed: the data of smaller ones are shown to the check, which may look at them
SHOWN = 4096


class Checks:
    """Asks kernels. What constants look like when they are packed is found out once for each problem and packing.

    A constant that cannot be packed so cannot be done so. ``target`` is what CUDA kernels would be launched on.
    """

    def __init__(self, target: Target | None = None) -> None:
        self._target = target
        self._known = frozenset(kernels())
        self._packed: dict[tuple[str, Any, int], TensorType] = {}

    def refusal(self, candidate: Candidate) -> str | None:
        """Why the kernel refuses the candidate; ``None`` when it does not, or when this library does not have it."""
        node, tactic = candidate.node, candidate.tactic
        if tactic.kernel not in self._known:
            return None
        try:
            inputs = [self._operand(candidate, index, value) for index, value in enumerate(node.inputs)]
        except ValueError as error:  # NumPy's: the packing does not fit the constant
            return f"kernel {tactic.kernel}: constants: {error}"
        outputs = [
            _described((tactic.writes if index == 0 else DENSE).stored(value.type))
            for index, value in enumerate(node.outputs)
        ]
        params = make_params(tactic.params_type, tactic.params(node))
        launch = None
        if tactic.launch:
            start = tactic.launch(node, self._target)
            launch = (*start.grid, start.block, 1, 1, start.shared, start.counters)
        return refusal(tactic.kernel, inputs, outputs, params, tactic.workspace(node), launch)

    def _operand(self, candidate: Candidate, index: int, value: Value | None) -> Description | None:
        if value is None:
            return None
        if not value.is_constant:
            return _described(candidate.tactic.reads.get(index, DENSE).stored(value.type))
        if index in candidate.tactic.pack:
            return _described(self._packed_type(candidate, index, value), constant=True)
        shown = value.data if value.type.nbytes <= SHOWN else None
        return _described(value.type, constant=True, data=shown)

    def _packed_type(self, candidate: Candidate, index: int, value: Value) -> TensorType:
        key = candidate.problem, candidate.tactic.pack[index], index
        if key not in self._packed:
            self._packed[key] = _packed(candidate.node, index, value)
        return self._packed[key]


def _packed(node: Node, index: int, value: Value) -> TensorType:
    array = node.tactic.pack[index](node, value.data)
    # as in select.pack: bfloat16 is stored as uint16, and an array cannot tell
    same = array.dtype == value.type.dtype.numpy
    return TensorType(value.type.dtype if same else DType.of(array.dtype), array.shape)


def _described(kind: TensorType, *, constant: bool = False, data: np.ndarray | None = None) -> Description:
    return Description(kind.dtype.value, kind.shape, constant, data)
