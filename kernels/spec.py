"""What an operator says about itself: types, shape rule, tactics, ONNX import, samples.

Each ``kernels/<op>/op.py`` fills in one :class:`OpSpec` called ``SPEC`` and registers importers for the ONNX
operators that lower to it. Nothing here or there knows of the engine file, of cffi or of the ``onnx`` package.

Internal operators are few and channels-last: an image is ``[N, *spatial, C]``. Importers put transposes around
them, the layout pass takes the transposes out again.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ingot.targets import Target


class DType(enum.Enum):
    """Element types; the value is the C enumerator of ``ingot_dtype`` in ``ingot_format.h``."""

    F32 = 1
    F64 = 2
    F16 = 3
    BF16 = 4
    I8 = 5
    I16 = 6
    I32 = 7
    I64 = 8
    U8 = 9
    U16 = 10
    U32 = 11
    U64 = 12
    BOOL = 13

    @property
    def numpy(self) -> np.dtype:
        """The NumPy type that stores it; bfloat16 has none and is stored as uint16."""
        return np.dtype(_NUMPY[self])

    @property
    def size(self) -> int:
        """Bytes of one element."""
        return self.numpy.itemsize

    @property
    def is_float(self) -> bool:
        return self in (DType.F32, DType.F64, DType.F16, DType.BF16)

    @property
    def is_signed(self) -> bool:
        return self.is_float or self in (DType.I8, DType.I16, DType.I32, DType.I64)

    @classmethod
    def of(cls, dtype: np.dtype | type) -> DType:
        """The element type of a NumPy array; ``KeyError`` when Ingot has none."""
        return _FROM_NUMPY[np.dtype(dtype)]


_NUMPY = {
    DType.F32: np.float32,
    DType.F64: np.float64,
    DType.F16: np.float16,
    DType.BF16: np.uint16,
    DType.I8: np.int8,
    DType.I16: np.int16,
    DType.I32: np.int32,
    DType.I64: np.int64,
    DType.U8: np.uint8,
    DType.U16: np.uint16,
    DType.U32: np.uint32,
    DType.U64: np.uint64,
    DType.BOOL: np.bool_,
}
_FROM_NUMPY = {np.dtype(n): d for d, n in _NUMPY.items() if d is not DType.BF16}


@dataclass(frozen=True, slots=True)
class Quant:
    """How an integer tensor stands for real numbers: ``(q - zero_point) * scale``; ``scale`` is a float32 value.

    ``rounds_as`` is set for tensors of a model that arrives quantised, whose results are rounded as onnxruntime does:
    by its operators of uint8, in numbers that are those here and 128 (U8), or of int8 (I8), or by float operators and
    QuantizeLinear (F32). None: calibration chose scale and zero point.
    """

    scale: float
    zero_point: int = 0
    rounds_as: DType | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class TensorType:
    """Element type and static shape of a dense row-major tensor; ``quant`` where int8 stands for real numbers."""

    dtype: DType
    shape: tuple[int, ...]
    quant: Quant | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def count(self) -> int:
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.count * self.dtype.size

    def __str__(self) -> str:
        return f"{self.dtype.name.lower()}[{'x'.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class Layout:
    """How the elements of a tensor ``[N, *spatial, C]`` follow each other in memory.

    ``block`` 0: row-major, as the shape says. Else the last axis is cut into blocks that lie behind each other:
    ``[N, C / block, *spatial, block]``. Nothing is padded: the block divides C.
    """

    block: int = 0

    def takes(self, kind: TensorType) -> bool:
        """Whether a tensor of that type can lie so."""
        return not self.block or (kind.rank >= 2 and kind.shape[-1] % self.block == 0)

    def stored(self, kind: TensorType) -> TensorType:
        """The type of a row-major tensor with the same bytes: what a kernel sees."""
        if not self.block:
            return kind
        first, *spatial, last = kind.shape
        return TensorType(kind.dtype, (first, last // self.block, *spatial, self.block), kind.quant)

    def __str__(self) -> str:
        return f"blocked by {self.block}" if self.block else "row-major"


DENSE = Layout()


@dataclass(frozen=True, slots=True)
class Work:
    """What a node computes, whatever the kernel: ``ops`` counts a multiply-add as two; ``dtype`` is what it multiplies.

    The bytes it moves follow from the types of its operands.
    """

    ops: int
    dtype: DType


class Unsupported(Exception):
    """An operator that cannot be built as it stands: ``what`` is not supported, ``nearest`` is a form that is."""

    def __init__(self, what: str, nearest: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.nearest = nearest


class ValueView(Protocol):
    """What an operator may see of a value: its type, its data when it is a constant, the node that computes it."""

    name: str
    type: TensorType
    data: np.ndarray | None
    producer: NodeView | None


class NodeView(Protocol):
    """What an operator may see of a node. Absent optional inputs are ``None``."""

    op: OpSpec
    attrs: Any
    inputs: Sequence[ValueView | None]
    outputs: Sequence[ValueView]


Params = Mapping[str, Any]
#: ``Tactic.efficiency`` of kernels that compute one number at a time
SCALAR = 0.01


@dataclass(frozen=True, slots=True)
class Launch:
    """How a CUDA kernel does a node: what is compiled, and how it is started.

    ``kernel`` is the class of ``common/cuda_device.h`` with its template arguments, in the file ``source`` below
    ``kernels/``. Equal sources, kernels, preludes and ``exact`` are compiled once, so what differs from node to node
    belongs into parameters and extents unless speed asks for a constant.
    """

    source: str
    kernel: str
    grid: tuple[int, int, int]
    #: threads of a block
    block: int
    #: bytes of dynamic shared memory
    shared: int = 0
    #: words of the step's own that are zero when the kernel begins and that it leaves zero (``cuda_call.h``)
    counters: int = 0
    #: C++ that stands before the source: generated code, and what it defines
    prelude: str = ""
    #: compiled without contraction and with exact division and square roots: the same bits as on the CPU
    exact: bool = False


@dataclass(frozen=True, slots=True)
class Tactic:
    """A kernel with its parameters that can do a node.

    ``params`` gives the fields of the C struct ``params_type``. ``pack`` re-arranges constant inputs for the
    kernel: input index -> function of the node and the array, giving the array to store. ``when`` says whether the
    kernel can do the node at all and must agree with the kernel's own ``check``. Of several tactics the first that can
    is the default, of those that read and write row-major tensors and absorb nothing.

    A tactic that ``absorbs`` an input computes that input's producer as well: the kernel's operands are the node's
    inputs without those absorbed, then the inputs of each absorbed producer. Indices of ``pack``, ``inplace``,
    ``pitched_inputs`` and ``reads`` count these operands; ``when``, ``params``, ``workspace`` and ``efficiency`` see
    the node as it was, with its inputs' producers. Only producers with one result are absorbed.
    """

    kernel: str
    params_type: str | None = None
    params: Callable[[NodeView], Params] = lambda node: {}
    when: Callable[[NodeView], bool] = lambda node: True
    pack: Mapping[int, Callable[[NodeView, np.ndarray], np.ndarray]] = field(default_factory=dict)
    workspace: Callable[[NodeView], int] = lambda node: 0
    #: bytes that every context makes of constants, for itself
    made: Callable[[NodeView], int] = lambda node: 0
    #: operands that may be rows inside a wider tensor (``pitch`` larger than the last extent)
    pitched_inputs: tuple[int, ...] = ()
    pitched_outputs: tuple[int, ...] = ()
    #: inputs whose bytes output 0 may take over, when nobody needs them afterwards
    inplace: tuple[int, ...] = ()
    #: "exact": same bits everywhere. "fp32": within D4. "fast": trades accuracy for speed within D4, can be turned off
    numerics: str = "fp32"
    #: what tells tactics of one kernel apart: words such as "tile=6x2", in a fixed order
    variant: str = ""
    #: how operands and result 0 lie in memory where that is not row-major; only types that the layout takes
    reads: Mapping[int, Layout] = field(default_factory=dict)
    writes: Layout = DENSE
    #: inputs whose producer this tactic computes itself
    absorbs: tuple[int, ...] = ()
    #: the share of the target's peak, of arithmetic or of memory, that it is expected to reach; None: nobody knows
    efficiency: Callable[[NodeView, Target], float] | None = None
    #: the architecture of CUDA that alone has what the kernel needs; empty: all have it
    arch: str = ""
    #: how a CUDA kernel is started; None: a kernel of the CPU
    launch: Callable[[NodeView, Target], Launch] | None = None

    @property
    def backend(self) -> str:
        """Which targets it is for: those of this backend. A tactic without a kernel is for all."""
        return "cuda" if self.launch else "cpu"

    def is_for(self, backend: str, arch: str = "") -> bool:
        """Whether some target of the backend has it; ``arch``: one of that architecture."""
        return not self.kernel or (self.backend == backend and (not arch or self.arch in ("", arch)))

    @property
    def key(self) -> str:
        """What timings call it: unique among the tactics of an operator that can do one node."""
        return f"{self.kernel} {self.variant}" if self.variant else self.kernel

    @property
    def is_plain(self) -> bool:
        """Whether it fits between any neighbours: row-major operands, nothing absorbed."""
        return not (self.absorbs or self.writes.block or any(layout.block for layout in self.reads.values()))


@dataclass(frozen=True, slots=True)
class Sample:
    """One case of an operator: drives its tests, benchmarks and its row in the operator table.

    ``inputs`` are types or arrays (arrays where values matter, e.g. indices); ``constant`` lists the inputs that the
    builder sees as constants (weights), and ``spread`` the standard deviation of those that are float types.
    """

    attrs: Any
    inputs: tuple[TensorType | np.ndarray | None, ...]
    constant: tuple[int, ...] = ()
    name: str = ""
    spread: float = 1.0


#: what has a scale of its own: each index of an axis, or of several together; None: the tensor
Axis = int | tuple[int, ...] | None


def axes_of(axis: Axis) -> tuple[int, ...]:
    return () if axis is None else (axis,) if isinstance(axis, int) else axis


def scale_shape(axis: Axis, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape in which scales, one for each index of ``axis``, broadcast over a tensor of that shape."""
    return tuple(extent if a in axes_of(axis) else 1 for a, extent in enumerate(shape))


@dataclass(frozen=True, slots=True)
class QuantWeights:
    """A constant on an integer grid: ``data`` int8, or int16 where a model's own numbers need 9 bits; one float32 scale
    for the tensor or for each index of ``axis``."""

    data: np.ndarray
    scales: np.ndarray
    axis: Axis = None


@dataclass(frozen=True, slots=True)
class QuantInput:
    """An input that arrives quantised: a value of int8 whose type has a quant, or weights."""

    value: ValueView | None = None
    weights: QuantWeights | None = None


@dataclass(frozen=True, slots=True)
class QuantForm:
    """The integer form of a node: operator, attributes, inputs (arrays become constants), type of the first result.

    Further results follow from the shape rule; they are those of the node, in float32.
    """

    op: str
    attrs: Any
    inputs: tuple[ValueView | np.ndarray | None, ...]
    output: TensorType


#: (node, its inputs where they arrive quantised, how its first result is to be stored or None for float32) -> integer
#: form, None when these operands have none
QuantRule = Callable[[NodeView, Sequence[QuantInput | None], Quant | None], QuantForm | None]


@dataclass(frozen=True, slots=True)
class Half:
    """How an operator of float32 works on what is stored in float16 or bfloat16, its arithmetic float32 as before.

    ``operands`` are the inputs that may each be stored so or in float32 (None: all), like the result. ``weights`` are
    the constants that then are. ``attrs`` gives the attributes of the node from the half type of each input that is
    stored in one, None for the others, and the type of its result. Without ``results`` that is float32. An operator
    that ``moves`` computes nothing: its operands and its result have one type.
    """

    able: Callable[[NodeView], bool] = lambda node: True
    operands: tuple[int, ...] | None = None
    weights: Callable[[NodeView], tuple[int, ...]] = lambda node: ()
    attrs: Callable[[NodeView, Sequence[DType | None], DType], Any] = lambda node, inputs, output: node.attrs
    results: bool = True
    moves: bool = False
    #: whose kernels there are; on others the operator stays in float32
    backends: tuple[str, ...] = ("cpu", "cuda")


@dataclass(frozen=True, slots=True)
class OpSpec:
    """Everything the builder knows of one internal operator.

    ``infer`` gives the output types or raises :class:`Unsupported`. ``permute(attrs, perm, node)`` answers, for
    transposes that move through the operator: the attributes with which ``op(transpose(x, perm)) ==
    transpose(op(x), perm)``, all inputs of full rank transposed alike, or ``None`` when there are none.
    ``cast_to`` names the type to compute in for element types no kernel takes (float16 -> float32); ``widen`` gives
    the attributes for that.
    """

    name: str
    attrs: type
    infer: Callable[[Any, Sequence[TensorType | None]], tuple[TensorType, ...]]
    tactics: tuple[Tactic, ...] = ()
    samples: Callable[[], Iterable[Sample]] = lambda: ()
    permute: Callable[[Any, tuple[int, ...], NodeView], Any | None] | None = None
    cast_to: Mapping[DType, DType] = field(default_factory=dict)
    #: attributes that name element types themselves, with those of ``cast_to`` replaced
    widen: Callable[[Any], Any] | None = None
    #: the exact integer form of a node between dequantised inputs and a quantised result; None: it stays in float
    quantize: QuantRule | None = None
    #: kernels over float16 and bfloat16; None: its operands and results stay float32
    half: Half | None = None
    #: what makes a node float by nature although there is a rule; empty: nothing does
    float_only: Callable[[NodeView], str] = lambda node: ""
    #: constant inputs that int8 can hold as weights, each with the axes that count output channels
    weights: Callable[[NodeView], Mapping[int, Axis]] = lambda node: {}
    #: inputs that the integer form takes in float32, since what is carried from run to run must not be rounded
    states: tuple[int, ...] = ()
    #: (attributes, largest magnitude) -> attributes of a node whose integer form takes its first input in float32 and
    #: rounds it more finely than int8; None: it takes int8 alone
    fine: Callable[[Any, float], Any] | None = None
    #: what there is to compute, for the cost model; None: it only moves bytes
    work: Callable[[NodeView], Work] | None = None


class Builder(Protocol):
    """What an importer works with: one ONNX node, and a graph that it appends internal nodes to."""

    opset: int  #: version of the node's domain
    op_type: str
    input_count: int
    output_count: int

    def input(self, index: int) -> Any | None:
        """The value of ONNX input ``index``; ``None`` when it is absent."""

    def const(self, index: int, default: Any = None) -> np.ndarray:
        """The data of ONNX input ``index``, ``default`` when absent; Unsupported when it is not a constant."""

    def attr(self, name: str, default: Any = None) -> Any:
        """ONNX attribute: int, float, str, list of those, np.ndarray (tensor) or a graph."""

    def emit(self, op: str, attrs: Any, inputs: Sequence[Any | None]) -> list[Any]:
        """Append a node of internal operator ``op`` and give its outputs. Constant inputs fold at once."""

    def constant(self, data: np.ndarray, name: str = "") -> Any:
        """A new constant."""

    # the internal operators everybody needs
    def reshape(self, x: Any, shape: Sequence[int]) -> Any: ...
    def transpose(self, x: Any, perm: Sequence[int]) -> Any: ...
    def cast(self, x: Any, dtype: DType) -> Any: ...
    def elementwise(self, function: str, *operands: Any, **constants: float) -> Any: ...


Importer = Callable[[Builder], Any]
ONNX: dict[tuple[str, str], Importer] = {}


def onnx_op(*op_types: str, domain: str = "") -> Callable[[Importer], Importer]:
    """Register the function as importer of these ONNX operators. It returns the value of each output."""

    def register(function: Importer) -> Importer:
        for op_type in op_types:
            if (domain, op_type) in ONNX:
                raise ValueError(f"two importers for {op_type}")
            ONNX[domain, op_type] = function
        return function

    return register


def normal_axis(axis: int, rank: int, what: str = "axis") -> int:
    """``axis`` counted from the front; Unsupported when it is out of range."""
    if not -rank <= axis < max(rank, 1):
        raise Unsupported(f"{what} {axis} is out of range for rank {rank}", f"an axis in [{-rank}, {rank - 1}]")
    return axis % rank if rank else 0


def broadcast_shape(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all of them broadcast to, as NumPy does it; Unsupported when they do not."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise Unsupported(f"shapes {' and '.join(map(str, shapes))} do not broadcast") from None
