"""Writes small engines for the C tests and the fuzzer: ``python make_engines.py FOLDER [--samples N]``.

By hand the ones of the format's own features, and for every kernel some whose only step is a sample of its operator.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ingot import _kernel, kernels
from ingot._kernel import make_params
from ingot.builder import lower, plan
from ingot.builder.ir import Graph, Node, Value
from ingot.builder.selftest import make_self_test
from ingot.builder.tuning import apply
from ingot.builder.writer import Variant, write_engine
from ingot.errors import IngotError
from ingot.kernels.common.half import to_bfloat16
from ingot.kernels.conv.attrs import ConvAttrs
from ingot.kernels.spec import DType, Layout, OpSpec, Sample, Tactic, TensorType, Unsupported

sys.path.insert(0, str(Path(__file__).parent))
import ed25519
from hand import Hand, Opened
from test_proof import TestInt8, TestStateAndFills, branches, reversing, two_variants


def by_hand() -> Iterator[tuple[str, bytes]]:
    """The proof engine and its parts."""
    seed = bytes(range(32))
    yield "reversing", reversing().engine()
    yield "branches", branches().engine()
    yield "two_variants", two_variants()
    yield "conv_s8_n16k4", TestInt8().int8_engine()
    yield "conv_f32_dw_pw", separable()
    yield "counter", TestStateAndFills().counter().engine()
    yield "signed", branches().engine(sign=lambda digest: (ed25519.public_key(seed), ed25519.sign(seed, digest)))


def separable() -> bytes:
    """A depthwise and a pointwise convolution that one step does."""
    conv = kernels.load()["conv"]
    kind, random = TensorType(DType.F32, (1, 5, 6, 18)), np.random.default_rng(0)

    def node(name: str, x: Value, shape: tuple[int, ...], pad: int, groups: int) -> Node:
        w = Value(f"{name}.w", TensorType(DType.F32, shape), random.uniform(-1, 1, shape).astype(np.float32))
        attrs = ConvAttrs(shape[2:], (1, 1), (pad,) * 4, (1, 1), groups)
        made = Node(conv, attrs, [x, w, None, None], [], (name,))
        made.outputs = [Value(name, conv.infer(attrs, [x.type, w.type])[0], None, made)]
        return made

    first = node("depthwise", Value("x", kind), (18, 1, 3, 3), 1, 18)
    second = node("pointwise", first.output, (20, 18, 1, 1), 0, 1)
    graph = Graph([first.inputs[0]], [second.output], [first, second])
    apply.run(graph, {second: next(t for t in conv.tactics if t.absorbs and t.when(second))})
    program = lower(graph, "separable", ["y"])
    abi = {k.name: (k.abi, k.params_size) for k in _kernel.kernels().values()}
    engine = write_engine([Variant("cpu", [program])], {}, abi)
    return write_engine([Variant("cpu", [program])], {}, abi, make_self_test(engine, program))


def _value(name: str, given: TensorType | np.ndarray | None, constant: bool) -> Value | None:
    if given is None:
        return None
    if isinstance(given, np.ndarray):
        return Value(name, TensorType(DType.of(given.dtype), given.shape), given if constant else None)
    if not constant:
        return Value(name, given)
    random = np.random.default_rng(0)
    data = random.uniform(-1, 1, given.shape) if given.dtype.is_float else random.integers(0, 2, given.shape)
    return Value(name, given, to_bfloat16(data) if given.dtype is DType.BF16 else data.astype(given.dtype.numpy))


def engine_of(spec: OpSpec, sample: Sample, tactic: Tactic) -> bytes | None:
    """An engine whose only step is the sample done by the tactic; ``None`` when that cannot do it."""
    inputs = [_value(f"x{i}", given, i in sample.constant) for i, given in enumerate(sample.inputs)]
    try:
        types = spec.infer(sample.attrs, [None if v is None else v.type for v in inputs])
    except Unsupported:
        return None
    node = Node(
        spec, sample.attrs, inputs, [Value(f"y{i}", t) for i, t in enumerate(types)], (sample.name or spec.name,)
    )
    if not tactic.kernel or tactic.absorbs or not tactic.when(node):
        return None
    reads_past = _kernel.kernels()[tactic.kernel].flags & 2  # INGOT_KERNEL_OVERREADS
    hand = Hand(sample.name or spec.name)
    operands, state = [], 0
    for index, value in enumerate(inputs):
        if value is None:
            operands.append(plan.NO_INDEX)
        elif value.is_constant:
            pack = tactic.pack.get(index)
            data = np.ascontiguousarray(pack(node, value.data) if pack else value.data)
            is_bfloat16 = value.type.dtype is DType.BF16
            operands.append(hand.constant(value.name, data, DType.BF16 if is_bfloat16 else None))
        elif reads_past:
            operands.append(hand.tensor(value.name, value.type.shape, plan.STATE, offset=state, dtype=value.type.dtype))
            hand.program.fills.append(plan.Fill(operands[-1], int(value.type.dtype.is_float), seed=index))
            state += -(-value.type.nbytes // 64) * 64 + 64
        else:
            stored = tactic.reads.get(index, Layout()).stored(value.type)
            operands.append(hand.input(value.name, stored.shape, dtype=value.type.dtype))
    layouts = [tactic.writes, *[Layout()] * (len(types) - 1)]
    results = [
        hand.output(v.name, layout.stored(v.type).shape, dtype=v.type.dtype) for v, layout in zip(node.outputs, layouts)
    ]
    size = tactic.workspace(node)
    workspace = hand.tensor("workspace", (size,), dtype=DType.U8) if size else plan.NO_INDEX
    hand.step(tactic.kernel, operands, results, make_params(tactic.params_type, tactic.params(node)), workspace)
    return hand.engine(self_test=make_self_test(hand.engine(), hand.program))


def of_kernels(samples: int, largest: int) -> Iterator[tuple[str, bytes]]:
    """For each kernel and variant so many engines, of the operators' samples spread evenly."""
    found: dict[str, list[bytes]] = {}
    for spec in kernels.load().values():
        for sample in spec.samples():
            for tactic in filter(lambda t: t.is_for("cpu"), spec.tactics):
                raw = engine_of(spec, sample, tactic)
                if raw is not None and len(raw) <= largest:
                    name = ".".join([tactic.kernel, spec.name, *tactic.variant.split()])
                    found.setdefault(name, []).append(raw)
    for name, raws in sorted(found.items()):
        for i in range(min(samples, len(raws))):
            yield f"{name}.{i}", raws[i * len(raws) // min(samples, len(raws))]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--samples", type=int, default=2, help="engines for each kernel (default 2)")
    parser.add_argument(
        "--largest",
        type=int,
        default=12_000,
        help="bytes of an engine at most; larger ones cost the tests time (default 12000)",
    )
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    written, without = 0, {k.name for k in _kernel.kernels().values() if k.backend == "cpu"}
    for name, raw in [*by_hand(), *of_kernels(options.samples, options.largest)]:
        try:
            with Opened(raw):
                (options.folder / f"{name}.ingot").write_bytes(raw)
        except IngotError as error:
            print(f"{name}: {error}", file=sys.stderr)
            return 1
        without.discard(name.split(".")[0])
        written += 1
    print(f"{written} engines; kernels without a small enough sample: {', '.join(sorted(without)) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
