"""Convolutions that read an image as it comes: the transpose before them, and the quantize before that, become theirs.

What an image is stored in is read once, and no step is spent on bringing it into another order. It is for backends that
have kernels for it, and for images of few channels; anything else stays as it is. At most sums are in another order.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingot.builder.ir import Graph, Node, Value
from ingot.builder.passes.permutation import CHANNELS_LAST
from ingot.builder.passes.rewrite import Sweep, is_op, op, plural
from ingot.kernels.conv.attrs import QConvAttrs
from ingot.kernels.image_conv.attrs import ImageConvAttrs, takes
from ingot.kernels.quantize.op import QuantizeAttrs, program
from ingot.kernels.spec import DType, OpSpec, Quant


def run(graph: Graph) -> None:
    """Replace every convolution of an image that comes channels first, or has but one."""
    if not any(tactic.is_for(graph.backend) for tactic in op("image_conv").tactics):
        return
    made = Sweep(graph).run(lambda sweep, node: _rule(sweep, node, op("image_conv")))
    if made:
        graph.report.append(("image_conv", f"{plural(made, 'convolution')} read an image as it comes"))


def _rule(sweep: Sweep, node: Node, spec: OpSpec) -> Sequence[Value] | None:
    found = _image(sweep, node.inputs[0]) if is_op(node, "conv") else None
    if found is None:
        return None
    image, source = found
    if node.inputs[3] is not None or not takes(node.attrs, image.type.shape[1]):
        return None
    if isinstance(node.attrs, QConvAttrs) and _quantizes(image.producer, node.attrs.x) and sweep.single_use(image):
        image, source = image.producer.inputs[0], [image.producer, *source]
    attrs = ImageConvAttrs(node.attrs)
    inputs = [image, *node.inputs[1:3], *node.inputs[4:]]
    if not _has_kernel(spec, attrs, inputs, sweep.graph.backend):
        return None
    return sweep.emit_all(spec.name, attrs, inputs, source=source, outputs=node.outputs)


def _image(sweep: Sweep, x: Value) -> tuple[Value, list[Node]] | None:
    """What ``[N, H, W, C]`` is as an image, channels first, and the node that is then needed no more."""
    moved = x.producer
    if moved is not None and _brings_last(moved) and sweep.single_use(x):
        return moved.inputs[0], [moved]
    if moved is None and x.data is None and x.type.rank == 4 and x.type.shape[3] == 1:
        n, h, w, c = x.type.shape  # an input; one channel lies alike, first or last
        return sweep.reshape(x, (n, c, h, w)), []
    return None


def _quantizes(node: Node | None, quant: Quant) -> bool:
    """Whether it is the quantize of that scale and zero point, as an operator or as a program."""
    attrs = QuantizeAttrs(quant)
    return (is_op(node, "quantize") and node.attrs == attrs) or (
        is_op(node, "elementwise") and node.attrs == program(attrs)
    )


def _brings_last(node: Node) -> bool:
    """Whether it makes [N, H, W, C] of [N, C, H, W]; a reshape does where there is one channel."""
    if is_op(node, "reshape") and node.output.type.rank == 4:
        n, h, w, c = node.output.type.shape
        return c == 1 and node.inputs[0].type.shape == (n, 1, h, w)
    return is_op(node, "transpose") and node.attrs.perm == CHANNELS_LAST


def _has_kernel(spec: OpSpec, attrs: ImageConvAttrs, inputs: Sequence[Value | None], backend: str) -> bool:
    if inputs[0].type.dtype not in (DType.F32, DType.I8, inputs[1].type.dtype):
        return False
    (kind,) = spec.infer(attrs, [value and value.type for value in inputs])
    node = Node(spec, attrs, list(inputs), [Value("y", kind)])
    return any(tactic.is_for(backend) and tactic.when(node) for tactic in spec.tactics)
