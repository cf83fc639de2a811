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
    """The template arguments of ``ingot::tma_tile``: a tile of the result, stages of the ring, blocks of a cluster, and
    whether the two warp groups take turns."""

    rows: int
    columns: int
    stages: int
    cluster: int = 1
    turns: bool = False

    threads = 384

    @property
    def shared(self) -> int:
        """Bytes of dynamic shared memory: the stages, two barriers each, and those of the two groups."""
        return self.stages * ((self.rows + self.columns) * _ROW_BYTES + 16) + 16

    @property
    def cpp(self) -> str:
        sizes = (self.rows, self.columns, self.stages, self.cluster, str(self.turns).lower())
        return f"ingot::tma_tile<{', '.join(map(str, sizes))}>"

    @property
    def variant(self) -> str:
        way = "turns" if self.turns else "shared"
        return f"tile={self.rows}x{self.columns} stages={self.stages} cluster={self.cluster} way={way}"

    @property
    def prelude(self) -> str:
        """What makes blocks of the entry clusters."""
        if self.cluster == 1:
            return ""
        return f"#undef INGOT_ENTRY_CLUSTER\n#define INGOT_ENTRY_CLUSTER __cluster_dims__({self.cluster}, 1, 1)"

    def units(self, rows: int, columns: int) -> int:
        """The tiles of a product, or pairs of them."""
        return ceil_div(rows, self.rows * self.cluster) * ceil_div(columns, self.columns)

    def grid(self, rows: int, columns: int, target: Target) -> tuple[int, int, int]:
        """One block for each multiprocessor, or less where there is not so much to do."""
        most = target.figures.get("sm_count", _SM_COUNT) // self.cluster
        return (max(min(self.units(rows, columns), most), 1) * self.cluster, 1, 1)

    def suits(self, rows: int, columns: int) -> bool:
        """Whether there is work for more than half of a tile."""
        return rows > self.rows * self.cluster // 2 and columns > self.columns // 2

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
            prelude=self.prelude,
            exact=exact,
        )


#: those that are tactics: shown to be right on a device, and measured there
TMA_TILES = (
    TmaTile(128, 256, 4),
    TmaTile(256, 128, 4),
    TmaTile(128, 128, 6),
)
#: those that are not: the emulator alone has seen that they are right, nothing has said what they reach
UNPROVEN_TILES = (
    TmaTile(128, 256, 4, cluster=2),
    TmaTile(128, 128, 6, turns=True),
    TmaTile(128, 128, 6, cluster=2, turns=True),
    TmaTile(64, 256, 5, turns=True),
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
    own = ceil_div(tile.units(product.rows, product.columns), count // tile.cluster)
    nbytes = ceil_div(product.depth * product.size, _ROW_BYTES) * _ROW_BYTES
    clocks = max(
        2 * tile.rows * tile.columns * (nbytes / product.size) / rate / _SHARE[product.size],
        (tile.rows + tile.columns / tile.cluster) * nbytes / _L2_BYTES,
    )
    drain = _DRAIN * tile.rows * tile.columns / (128 * 256)
    took = (own * (clocks + drain) + _FILL) / clock
    moved = product.moved / figures.get("memory_gbs", 4800.0)
    ideal = max(2 * product.rows * product.columns * product.depth / (rate * count * clock), moved)
    return max(1e-3, ideal / (max(took, moved / 0.85) + 1e-9))
