"""How CUDA kernels that fold rows spread them over threads: the template arguments of kernels on ``cuda_rows.h``."""

from __future__ import annotations

from dataclasses import dataclass

from ingot.kernels.common.cuda import CPP, ceil_div
from ingot.kernels.spec import DType, NodeView

#: a block is no smaller: several warps with a row each
BLOCK_MIN = 128
#: from so many rows on, a warp for each keeps the machine busy
MANY_ROWS = 512
#: rows of so few elements are better done by one thread each, where there are many
SHORT = 32
#: elements that a thread holds in registers, at most
EACH_MAX = 16


@dataclass(frozen=True, slots=True)
class Team:
    """``threads`` that share a row, each with ``each`` elements of it: a warp or a block."""

    threads: int
    each: int

    @property
    def block(self) -> int:
        """Threads of a block."""
        return max(self.threads, BLOCK_MIN)

    def grid(self, rows: int) -> tuple[int, int, int]:
        """A team for each of ``rows``."""
        return (max(ceil_div(rows, self.block // self.threads), 1), 1, 1)


def team_for(rows: int, length: int) -> Team | None:
    """The team that holds a row of so many elements in registers; None: no block can."""
    for threads, most in ((32, 2 * EACH_MAX if rows >= MANY_ROWS else 4), (128, 4), (256, 8), (256, 16), (512, 16)):
        each = 4
        while each < most and threads * each < length:
            each *= 2
        if threads * each >= length:
            return Team(threads, each)
    return None


def storage(*dtypes: DType) -> str:
    """Template arguments for elements of these types."""
    return ", ".join(CPP[dtype] for dtype in dtypes)


def lines(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """A shape as outer extent, extent of the axis, inner extent."""
    outer, inner = 1, 1
    for a, extent in enumerate(shape):
        outer *= extent if a < axis else 1
        inner *= extent if a > axis else 1
    return outer, shape[axis], inner


def is_real(node: NodeView) -> bool:
    """Whether the first input and the first result are float32 or stored in half, or both are float64."""
    ends = {node.inputs[0].type.dtype, node.outputs[0].type.dtype}
    return ends == {DType.F64} or ends <= {DType.F32, DType.F16, DType.BF16}
