"""What a candidate must compute: the portable kernels of the CPU on the inputs that the tuner generates.

Results are compared where the candidate is measured (runtime_c/src/tune/sample_cuda.c); a candidate that computes
something else is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ingot._kernel import empty, make_params, run_kernel
from ingot._native import ffi, lib
from ingot.builder.evaluate import select_tactic
from ingot.builder.ir import Node, Value
from ingot.builder.passes.rewrite import op
from ingot.builder.tuning.keys import Candidate
from ingot.builder.writer import SelfTest
from ingot.kernels.common.half import HALF, from_bfloat16, is_half, narrow, real_attrs, widen
from ingot.kernels.conv.attrs import QConvAttrs
from ingot.kernels.image_conv.attrs import ImageConvAttrs, operands
from ingot.kernels.quantize.op import QuantizeAttrs
from ingot.kernels.spec import DType, TensorType, Unsupported

#: elements of a result that are compared, evenly spread
MAX_ELEMENTS = 4096
#: norm of the difference over norm of the result, by the least exact type of the step; no single element may be off by
#: more than so many times that share of the largest
BOUNDS = {DType.BF16: 5e-2, DType.F16: 5e-3, DType.F32: 1e-4, DType.F64: 1e-10}
SINGLE = 10.0


class Expected:
    """Computes what candidates must compute; equal steps once."""

    def __init__(self) -> None:
        self._known: dict[tuple, list[np.ndarray] | None] = {}

    def records(self, candidate: Candidate, first_io: int) -> list[SelfTest]:
        """Records for a pack whose candidate has its inputs and outputs from ``first_io`` on; none where no kernel of
        the CPU does the step."""
        node = candidate.node
        results = self._results(candidate)
        if results is None:
            return []
        kinds = {v.type.dtype for v in [*node.inputs, *node.outputs] if v is not None}
        bound = next((BOUNDS[each] for each in BOUNDS if each in kinds), 0.0)
        exact = candidate.tactic.numerics == "exact"
        at = first_io + len(_activations(node))
        return [
            _record(at + index, value.type.dtype, array, exact, bound)
            for index, (value, array) in enumerate(zip(node.outputs, results))
            if exact or value.type.dtype.is_float or not any(kind.is_float for kind in kinds)
        ]

    def inputs(self, node: Node) -> dict[Value, np.ndarray]:
        """What the tuner generates for the inputs of a candidate's program, in their order."""
        return {value: _generated(value.type, index) for index, value in enumerate(_activations(node))}

    def _results(self, candidate: Candidate) -> list[np.ndarray] | None:
        node = candidate.node
        constants = tuple(id(v.data) for v in node.inputs if v is not None and v.is_constant)
        key = candidate.problem, repr(node.attrs), constants
        if key not in self._known:
            given = self.inputs(node)
            try:
                self._known[key] = _portable(node, [None if v is None else given.get(v, v.data) for v in node.inputs])
            except Unsupported:
                self._known[key] = None
        return self._known[key]


def _activations(node: Node) -> list[Value]:
    """The inputs of a candidate's program, in their order."""
    return list(dict.fromkeys(v for v in node.inputs if v is not None and not v.is_constant))


def _record(io: int, dtype: DType, array: np.ndarray, exact: bool, bound: float) -> SelfTest:
    flat = array.ravel()
    stride = max(-(-flat.size // MAX_ELEMENTS), 1) | 1  # odd: not always the same column of a power of two
    data = np.ascontiguousarray(flat[::stride])
    if exact or not dtype.is_float:
        return SelfTest(io, data=data, stride=stride)
    numbers = np.abs((from_bfloat16(data) if dtype is DType.BF16 else data).astype(np.float64))
    largest = float(numbers[np.isfinite(numbers)].max(initial=0.0))
    absolute = SINGLE * bound * max(largest, 1e-6)
    return SelfTest(io, data=data, stride=stride, exact=False, relative=bound, absolute=absolute)


def _generated(kind: TensorType, index: int) -> np.ndarray:
    array = empty(kind.shape, kind.dtype.numpy)
    if array.size:
        lib.ingot_tuner_fill(ffi.cast("void *", array.ctypes.data), kind.dtype.value, kind.nbytes, index)
    return array


def _portable(node: Node, arrays: Sequence[np.ndarray | None]) -> list[np.ndarray]:
    """The results; :class:`Unsupported` where no kernel of the CPU can do it."""
    if is_half(node):  # stored in half on CUDA alone: float32 whose results are rounded
        wide = _in_float32(node)
        inputs = [a if v is None else _wide(v, a) for v, a in zip(node.inputs, arrays)]
        results = _portable(wide, inputs)
        kinds = [value.type.dtype for value in node.outputs]
        return [narrow(a, kind) if kind in HALF else a for a, kind in zip(results, kinds)]
    if isinstance(node.attrs, ImageConvAttrs):
        return _portable(*_of_image(node, arrays))
    tactic = select_tactic(node)
    inputs = [
        np.ascontiguousarray(tactic.pack[i](node, a)) if i in tactic.pack and a is not None else a
        for i, a in enumerate(arrays)
    ]
    outputs = [empty(value.type.shape, value.type.dtype.numpy) for value in node.outputs]
    if not tactic.kernel:
        return [inputs[0].reshape(node.output.type.shape)]
    run_kernel(
        tactic.kernel,
        inputs,
        outputs,
        make_params(tactic.params_type, tactic.params(node)),
        constant=[i for i, v in enumerate(node.inputs) if v is not None and v.is_constant],
        workspace=tactic.workspace(node),
        bfloat16=[
            i for i, v in enumerate([*node.inputs, *node.outputs]) if v is not None and v.type.dtype is DType.BF16
        ],
    )
    return outputs


def _wide(value: Value, array: np.ndarray) -> np.ndarray:
    return widen(array, value.type.dtype) if value.type.dtype in HALF else array


def _in_float32(node: Node) -> Node:
    """The node of ``HalfAttrs`` as the operator of float32 that it is."""

    def wide(value: Value | None) -> Value | None:
        if value is None or value.type.dtype not in HALF:
            return value
        data = value.data if value.data is None else widen(value.data, value.type.dtype)
        return Value(value.name, TensorType(DType.F32, value.type.shape), data)

    inputs, outputs = [wide(v) for v in node.inputs], [wide(v) for v in node.outputs]
    return Node(node.op, real_attrs(node), inputs, outputs, node.source)


def _of_image(node: Node, arrays: Sequence[np.ndarray | None]) -> tuple[Node, list[np.ndarray | None]]:
    """The convolution alone that an image's is, and its inputs: the image quantised and channels last."""
    conv, (x, *others) = node.attrs.conv, arrays
    kind = node.inputs[0].type
    if isinstance(conv, QConvAttrs) and kind.dtype is DType.F32:
        kind = TensorType(DType.I8, kind.shape, conv.x)
        quantize = Node(op("quantize"), QuantizeAttrs(conv.x), [node.inputs[0]], [Value("image", kind)])
        (x,) = _portable(quantize, [x])
    n, c, h, w = kind.shape
    image = Value("image", TensorType(kind.dtype, (n, h, w, c), kind.quant))
    inputs = operands(node.attrs, (np.ascontiguousarray(np.moveaxis(x, 1, -1)), *others))
    values = operands(node.attrs, (image, *node.inputs[1:]))
    return Node(op("conv"), conv, list(values), node.outputs, node.source), list(inputs)
