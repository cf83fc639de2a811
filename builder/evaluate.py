"""Run one node on constants, with the portable kernels that would run it later: constant folding and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ingot._kernel import empty, make_params, run_kernel
from ingot.builder.ir import Node, Value
from ingot.kernels.common.half import HALF, HalfAttrs, from_bfloat16, real_attrs, to_bfloat16
from ingot.kernels.spec import DType, Tactic, TensorType, Unsupported


def select_tactic(node: Node, backend: str = "cpu") -> Tactic:
    """The first tactic of the backend that can do the node between any neighbours; Unsupported when none can."""
    for tactic in node.op.tactics:
        if tactic.is_for(backend) and tactic.is_plain and tactic.when(node):
            return tactic
    types = ", ".join("-" if v is None else str(v.type) for v in node.inputs)
    where = "" if backend == "cpu" else f" of {backend}"
    raise Unsupported(f"{node.op.name} of {types}: no kernel{where} takes these operands")


def has_tactic(node: Node, backend: str) -> bool:
    """Whether some kernel of the backend can do the node, and one of the CPU: that says what the others must give."""
    return all(
        any(t.is_for(each) and t.when(node) for t in node.op.tactics) for each in dict.fromkeys(("cpu", backend))
    )


def compute_types(node: Node) -> Mapping[DType, DType]:
    """Element types in whose place the node computes in others. Integer forms, which have attributes of their own, have
    kernels for theirs."""
    if isinstance(node.attrs, HalfAttrs):
        return dict.fromkeys(HALF, DType.F32)
    return node.op.cast_to if type(node.attrs) is node.op.attrs else {}


def cast_array(array: np.ndarray, source: DType, target: DType) -> np.ndarray:
    """Convert between element types; float16 and bfloat16 by round to nearest even."""
    if source is DType.BF16:
        array = from_bfloat16(array)
    if target is DType.BF16:
        return to_bfloat16(array)
    with np.errstate(over="ignore", invalid="ignore"):
        return array.astype(target.numpy)


def evaluate(node: Node, *, isa: str | None = "portable") -> list[np.ndarray]:
    """The values of the node's outputs. All present inputs must be constants."""
    arrays = [None if v is None else v.data for v in node.inputs]
    if any(v is not None and v.type.dtype in compute_types(node) for v in [*node.inputs, *node.outputs]):
        return _evaluate_cast(node, arrays, isa)
    types = [v.type.dtype for v in [*node.inputs, *node.outputs] if v is not None]
    if node.op.name == "elementwise" and DType.BF16 in types:
        # a conversion (see fold.may_fold): arrays cannot tell a kernel that they hold bfloat16
        return [cast_array(arrays[0], *types)]
    tactic = select_tactic(node)
    if tactic.kernel == "":
        return [node.inputs[0].data.reshape(node.output.type.shape)]
    for index, pack in tactic.pack.items():
        if arrays[index] is not None:
            arrays[index] = np.ascontiguousarray(pack(node, arrays[index]))
    outputs = [empty(v.type.shape, v.type.dtype.numpy) for v in node.outputs]
    run_kernel(
        tactic.kernel,
        arrays,
        outputs,
        make_params(tactic.params_type, tactic.params(node)),
        isa=isa,
        constant=[i for i, a in enumerate(arrays) if a is not None],
        workspace=tactic.workspace(node),
    )
    return outputs


def _evaluate_cast(node: Node, arrays: Sequence[np.ndarray | None], isa: str | None) -> list[np.ndarray]:
    """Compute in the type that the operator casts to, then convert the results back."""
    wide = compute_types(node)

    def widen(value: Value | None, array: np.ndarray | None) -> Value | None:
        if value is None:
            return None
        dtype = wide.get(value.type.dtype, value.type.dtype)
        data = array if array is None or dtype is value.type.dtype else cast_array(array, value.type.dtype, dtype)
        return Value(value.name, TensorType(dtype, value.type.shape), data)

    copy = Node(
        node.op,
        real_attrs(node),
        [widen(v, a) for v, a in zip(node.inputs, arrays)],
        [widen(v, None) for v in node.outputs],
        node.source,
    )
    results = evaluate(copy, isa=isa)
    return [
        cast_array(r, c.type.dtype, v.type.dtype) if c.type.dtype is not v.type.dtype else r
        for r, c, v in zip(results, copy.outputs, node.outputs)
    ]
