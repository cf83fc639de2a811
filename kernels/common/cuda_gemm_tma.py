"""Tiles of the products whose operands tensor maps bring (``cuda_gemm_tma.h``), for sm_90a alone."""

from __future__ import annotations

from dataclasses import dataclass

from ingot.kernels.common.cuda import ceil_div
from ingot.kernels.common.cuda_gemm import Product
from ingot.kernels.spec import DType, Launch
from ingot.targets import Target

ARCH = "sm_90a"
#: bytes that rows and bases of the operands are multiples of
ALIGN = 16
_ROW_BYTES = 128
_SM_COUNT = 132


@dataclass(frozen=True, slots=True)
class TmaTile:
    """The template arguments of ``ingot::tma_tile``: a tile of the result, and stages of the ring."""

    rows: int
    columns: int
    stages: int

    threads = 384

    @property
    def shared(self) -> int:
        """Bytes of dynamic shared memory: the stages, and two barriers each."""
        return self.stages * ((self.rows + self.columns) * _ROW_BYTES + 16)

    @property
    def cpp(self) -> str:
        return f"ingot::tma_tile<{self.rows}, {self.columns}, {self.stages}>"

    @property
    def variant(self) -> str:
        return f"tile={self.rows}x{self.columns} stages={self.stages}"

    def count(self, rows: int, columns: int) -> int:
        """The tiles of a product."""
        return ceil_div(rows, self.rows) * ceil_div(columns, self.columns)

    def grid(self, rows: int, columns: int, target: Target) -> tuple[int, int, int]:
        """One block for each multiprocessor, or less where there is not so much to do."""
        most = target.figures.get("sm_count", _SM_COUNT)
        return (max(min(self.count(rows, columns), most), 1), 1, 1)

    def suits(self, rows: int, columns: int) -> bool:
        """Whether there is work for more than half of a tile."""
        return rows > self.rows // 2 and columns > self.columns // 2

    def takes(self, dtype: DType, rows: int, columns: int, depth: int) -> bool:
        """Whether rows of ``depth`` elements can be copied in boxes, and there is work for the tile."""
        return depth > 0 and depth * dtype.size % ALIGN == 0 and self.suits(rows, columns)

    def launch(self, source: str, kernel: str, rows: int, columns: int, target: Target, exact: bool = False) -> Launch:
        """Of an instance whose template arguments end with the tile."""
        return Launch(
            source=source,
            kernel=f"{kernel}{self.cpp}>",
            grid=self.grid(rows, columns, target),
            block=self.threads,
            shared=self.shared,
            exact=exact,
        )


TMA_TILES = (
    TmaTile(128, 256, 4),
    TmaTile(256, 128, 4),
    TmaTile(128, 128, 6),
)

#: clocks from the start of a kernel to its first product, and of the end of a tile of 128 x 256
_FILL, _DRAIN = 4000, 2500
#: bytes a clock that a multiprocessor gets from the second-level cache
_L2_BYTES = 44
#: what a multiprocessor reaches of its peak, by bytes of an element, as measured at 4096 cubed; of int8 less than was,
#: since what the copies of 16 bytes feed did better
_SHARE = {2: 0.73, 1: 0.44}


def efficiency(tile: TmaTile, product: Product, target: Target) -> float:
    """The share of the roofline that a tile should reach: see ``cuda_gemm.efficiency``."""
    figures = target.figures
    count, clock = figures.get("sm_count", _SM_COUNT), figures.get("clock_mhz", 1830) / 1000.0
    rate = figures.get("ops_per_clock", {}).get(product.peak, 4096)
    own = ceil_div(tile.count(product.rows, product.columns), count)
    nbytes = ceil_div(product.depth * product.size, _ROW_BYTES) * _ROW_BYTES
    clocks = max(
        2 * tile.rows * tile.columns * (nbytes / product.size) / rate / _SHARE[product.size],
        (tile.rows + tile.columns) * nbytes / _L2_BYTES,
    )
    drain = _DRAIN * tile.rows * tile.columns / (128 * 256)
    took = (own * (clocks + drain) + _FILL) / clock
    moved = product.moved / figures.get("memory_gbs", 4800.0)
    ideal = max(2 * product.rows * product.columns * product.depth / (rate * count * clock), moved)
    return max(1e-3, ideal / (max(took, moved / 0.85) + 1e-9))
