"""Tiles of CUDA products with few rows (``cuda_few_rows.h``): which there are, what they may be expected to reach."""

from __future__ import annotations

from dataclasses import dataclass

from ingot.kernels.common.cuda import ceil_div
from ingot.kernels.common.cuda_gemm import CHUNK, Product
from ingot.kernels.spec import Launch
from ingot.targets import Target

MOST_ROWS = 8


@dataclass(frozen=True, slots=True)
class FewTile:
    """Columns of a warp, and how many warps share columns and depth."""

    columns: int
    warps_n: int
    warps_k: int

    @property
    def threads(self) -> int:
        return 32 * self.warps_n * self.warps_k

    @property
    def variant(self) -> str:
        return f"columns={self.columns} warps={self.warps_n}x{self.warps_k}"

    def blocks(self, columns: int) -> int:
        return max(ceil_div(columns, self.columns * self.warps_n), 1)

    def launch(self, source: str, kernel: str, arguments: str, rows: int, columns: int, exact: bool = False) -> Launch:
        """How class ``kernel`` of a file is started; ``arguments``: those of the template before the tile."""
        most = next(n for n in (1, 2, 4, 8) if rows <= n)
        tile = f"ingot::few_tile<{most}, {self.columns}, {self.warps_n}, {self.warps_k}>"
        comma = ", " if arguments else ""
        grid = (self.blocks(columns), 1, 1)
        return Launch(source, f"{kernel}<{arguments}{comma}{tile}>", grid, self.threads, exact=exact)


FEW_TILES = (FewTile(2, 1, 4), FewTile(1, 4, 1), FewTile(4, 4, 1), FewTile(1, 1, 8))

#: nanoseconds until what a warp asks of memory is there, and clocks of what comes before and after
_LATENCY_NS, _AROUND = 700.0, 3000
#: warps of a multiprocessor at a time
_WARPS = 32


def few_efficiency(tile: FewTile, product: Product, target: Target) -> float:
    """The share of the roofline that a tile should reach: it waits for memory, for which enough has to be under way."""
    figures = target.figures
    count, clock = figures.get("sm_count", 16), figures.get("clock_mhz", 1300) / 1000.0
    bandwidth = figures.get("memory_gbs", 200.0)
    warps = min(tile.blocks(product.columns) * tile.warps_n * tile.warps_k, count * _WARPS)
    chunks = max(ceil_div(product.depth * product.size, CHUNK * 32 * tile.warps_k), 1)  # of a lane
    under_way = warps * 32 * CHUNK * min(2, chunks) * tile.columns
    reached = min(0.85 * bandwidth, under_way / _LATENCY_NS)
    turns = ceil_div(tile.blocks(product.columns) * tile.warps_n * tile.warps_k, count * _WARPS)
    ops = 2 * product.rows * product.columns * product.depth
    slots = count * clock * (512 if product.size == 1 else 64)  # with what conversions and loads cost
    took = max(product.moved / reached, ops / slots, turns * chunks / 2 * _LATENCY_NS) + _AROUND / clock
    peak = figures.get("ops_per_clock", {}).get(product.peak, 2048) * count * clock
    return max(1e-3, max(ops / peak, product.moved / bandwidth) / took)
