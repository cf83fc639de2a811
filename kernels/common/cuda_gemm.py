"""Tiles of the CUDA matrix products (``cuda_gemm.h``): which there are, how kernels with them are started, and what
each may be expected to reach."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ingot.kernels.common.cuda import CPP, activation_kind, ceil_div
from ingot.kernels.spec import DType, Launch, NodeView
from ingot.targets import Target

CHUNK = 16
"""Bytes that are copied at once; rows of packed weights are padded to whole ones."""


@dataclass(frozen=True, slots=True)
class Tile:
    """The template arguments of ``ingot::gemm_tile``: a tile of the result, bytes of the depth in a stage, stages, how
    many warps share rows, columns and depth, and how many blocks of a cluster share the depth."""

    rows: int
    columns: int
    bytes: int
    stages: int
    warps: tuple[int, int, int]
    team: int = 1

    @property
    def threads(self) -> int:
        m, n, k = self.warps
        return 32 * m * n * k

    @property
    def shared(self) -> int:
        """Bytes of dynamic shared memory: the stages, or the tiles of sums in their place."""
        return max(self.staged, self.rows * (self.columns + 8) * 4 * self.warps[2])

    @property
    def staged(self) -> int:
        """Bytes of the stages."""
        return self.stages * (self.rows + self.columns) * self.bytes

    def shared_with(self, entries: int) -> int:
        """Bytes of dynamic shared memory where tables of so many entries lie behind the stages."""
        return ceil_div(max(self.shared, self.staged + 8 * entries), 128) * 128

    @property
    def cpp(self) -> str:
        sizes = [self.rows, self.columns, self.bytes, self.stages, *self.warps]
        if self.team > 1:
            sizes.append(self.team)
        return f"ingot::gemm_tile<{', '.join(map(str, sizes))}>"

    @property
    def prelude(self) -> str:
        """What stands before a source, so that its blocks are clusters."""
        cluster = f"#undef INGOT_ENTRY_CLUSTER\n#define INGOT_ENTRY_CLUSTER __cluster_dims__({self.team}, 1, 1)"
        return cluster if self.team > 1 else ""

    @property
    def variant(self) -> str:
        split = "x".join(map(str, self.warps))
        return f"tile={self.rows}x{self.columns}x{self.bytes} warps={split} stages={self.stages}"

    def grid(self, rows: int, columns: int, split: int = 1) -> tuple[int, int, int]:
        """The blocks of a product with a result of that extent, ``split`` for each tile; at least one."""
        tiles = ceil_div(rows, self.rows) * ceil_div(columns, self.columns)
        return (max(tiles, 1) * self.team, split, 1)

    def suits(self, rows: int, columns: int) -> bool:
        """Whether there is work for more than half of a tile; the smaller tiles are for what is left."""
        return (rows > self.rows // 2 or self.rows <= 32) and (columns > self.columns // 2 or self.columns <= 32)


@dataclass(frozen=True, slots=True)
class Way:
    """A tile, and over how many blocks its depth is spread."""

    tile: Tile
    split: int = 1

    @property
    def variant(self) -> str:
        return self.tile.variant + (f" split={self.split}" if self.split > 1 else "")

    def suits(self, rows: int, columns: int, row_bytes: int) -> bool:
        """Whether there is work for more than half of a tile; ``row_bytes``: those of the depth. It is spread over
        blocks where each has some stages of it and there are few tiles."""
        if not self.tile.suits(rows, columns):
            return False
        deep = row_bytes >= 2 * self.split * self.tile.bytes
        return self.split == 1 or (deep and self.tile.grid(rows, columns)[0] * self.split <= MOST_SPLIT_BLOCKS)

    def counters(self, rows: int, columns: int) -> int:
        """One for each tile whose blocks have to be counted."""
        return self.tile.grid(rows, columns)[0] if self.split > 1 else 0

    def workspace(self, rows: int, columns: int) -> int:
        """Bytes of the sums that blocks hand to the last one."""
        return self.split * rows * ceil_div(columns, 8) * 8 * 4 if self.split > 1 else 0

    def launch(
        self,
        source: str,
        kernel: str,
        rows: int,
        columns: int,
        entries: int = 0,
        products: int = 1,
        exact: bool = False,
    ) -> Launch:
        """Of a kernel with this tile, for so many products side by side; ``entries``: those of its tables."""
        across, split, _ = self.tile.grid(rows, columns, self.split)
        return Launch(
            source=source,
            kernel=kernel,
            grid=(across, split, products),
            block=self.tile.threads,
            shared=self.tile.shared_with(entries),
            counters=self.counters(rows, columns),
            prelude=self.tile.prelude,
            exact=exact,
        )


#: a device that has more blocks to do at once than this needs no split
MOST_SPLIT_BLOCKS = 512
#: over how many blocks the depth of the smaller tiles is spread
SPLITS = (2, 4, 8)
#: area of the largest tile that is
MOST_SPLIT_AREA = 64 * 64


def ways(tiles: tuple[Tile, ...]) -> tuple[Way, ...]:
    """The tiles as they are, and then spread over blocks."""
    small = [tile for tile in tiles if tile.rows * tile.columns <= MOST_SPLIT_AREA]
    return (*map(Way, tiles), *(Way(tile, split) for tile in small for split in SPLITS))


#: tensor cores. The first is the default where nobody knows better: it is never far from the best
MMA_TILES = (
    Tile(64, 64, 64, 4, (2, 2, 1)),
    Tile(64, 64, 128, 3, (2, 2, 1)),
    Tile(128, 256, 64, 3, (2, 4, 1)),
    Tile(128, 128, 64, 4, (2, 2, 1)),
    Tile(128, 64, 128, 3, (2, 2, 1)),
    Tile(64, 128, 128, 3, (2, 2, 1)),
    Tile(32, 64, 128, 4, (1, 2, 2)),
    Tile(64, 32, 128, 4, (2, 1, 2)),
    Tile(64, 64, 128, 4, (2, 2, 2)),
    Tile(32, 64, 256, 4, (1, 2, 4)),
    Tile(64, 32, 256, 4, (2, 1, 4)),
    Tile(32, 32, 256, 5, (1, 1, 8)),
    Tile(16, 64, 128, 4, (1, 2, 4)),
    Tile(16, 32, 128, 4, (1, 1, 4)),
    Tile(16, 32, 256, 4, (1, 1, 8)),
)

#: architectures whose blocks can be clusters
TEAM_ARCHS = ("sm_90a", "sm_110")

#: what warp groups do in the place of some of them, on the architecture that has them
GROUP_ARCH = "sm_90a"
_GROUP_TILES = {
    MMA_TILES[2]: Tile(128, 256, 128, 4, (8, 1, 1)),
    MMA_TILES[3]: Tile(128, 128, 128, 3, (8, 1, 1)),
    MMA_TILES[4]: Tile(128, 64, 128, 4, (8, 1, 1)),
    MMA_TILES[5]: Tile(64, 128, 128, 4, (4, 1, 1)),
    MMA_TILES[1]: Tile(64, 64, 128, 6, (4, 1, 1)),
}


def core_of(core: str, tile: Tile, target: Target) -> tuple[str, Tile]:
    """The core, ``f16_core`` or its like, and the tile that a target has for a tile of ``MMA_TILES``."""
    wide = (
        _GROUP_TILES.get(tile) if target.arch == GROUP_ARCH and core in ("f16_core", "bf16_core", "s8_core") else None
    )
    return (core.replace("_core", "_group_core"), wide) if wide else (core, tile)


def placed(core: str, way: Way, target: Target) -> tuple[str, Way]:
    """The same of a way: where blocks can be clusters, those that share a depth are one."""
    name, tile = core_of(core, way.tile, target)
    if way.split > 1 and target.arch in TEAM_ARCHS:
        return name, Way(replace(tile, team=way.split))
    return name, Way(tile, way.split)


def instance(name: str, core: str, tile: Tile, node: NodeView, reads: str = "") -> str:
    """A kernel with its template arguments: the core, element types of the weights and of what they multiply, how that
    is read, the activation, and the tile. The one of int8 finds out types and activation itself."""
    x, w = (value.type.dtype for value in node.inputs[:2])
    ways = [f"ingot::{reads}"] if reads else []
    if w is DType.I8:
        return f"{name}_s8<{', '.join([f'ingot::{core}', *ways, tile.cpp])}>"
    kind = str(activation_kind(node.attrs.activation))
    return f"{name}<{', '.join([f'ingot::{core}', CPP[w], CPP[x], *ways, kind, tile.cpp])}>"


#: tensor cores on float32 in two parts, which take more registers
SPLIT_TILES = (
    Tile(64, 64, 64, 3, (2, 2, 1)),
    Tile(128, 64, 64, 3, (2, 2, 1)),
    Tile(32, 32, 128, 3, (1, 1, 4)),
)

#: plain arithmetic of float32
FMA_TILES = (
    Tile(64, 64, 64, 3, (2, 2, 1)),
    Tile(128, 64, 64, 3, (4, 2, 1)),
    Tile(32, 32, 64, 4, (1, 1, 4)),
)


def pack_rows(rows: np.ndarray) -> np.ndarray:
    """[N, K] -> [N, K'] of the same type: rows padded with zeros to whole chunks of 16 bytes."""
    n, k = rows.shape
    vec = CHUNK // rows.itemsize
    packed = np.zeros((n, ceil_div(k, vec) * vec), rows.dtype)
    packed[:, :k] = rows
    return packed


@dataclass(frozen=True, slots=True)
class Product:
    """What there is to do: rows, columns and depth, bytes of an element, and all bytes that come from and go to memory.

    ``peak`` names the peak of ``ops_per_clock`` in the target's file that the roofline is drawn with, ``pace`` that of
    the core, which does the share ``slowed`` of it.
    """

    rows: int
    columns: int
    depth: int
    size: int
    moved: int
    peak: str
    pace: str
    slowed: float = 1.0


#: core -> peak that it has, and its share of that
PACES = {
    "f16_core": ("f16", 1.0),
    "bf16_core": ("bf16", 1.0),
    "s8_core": ("i8", 1.0),
    "tf32_core": ("f16", 1 / 6),
    "fma_core": ("f32", 1.0),
}


def product_of(node: NodeView, extent: tuple[int, int, int], pace: str, slowed: float = 1.0) -> Product:
    """A node as a product of that extent: rows, columns and depth."""
    dtype = node.inputs[1].type.dtype
    moved = sum(v.type.nbytes for v in (*node.inputs, *node.outputs) if v is not None)
    return Product(*extent, dtype.size, moved, dtype.name.lower(), pace, slowed)


#: where the target's file says nothing
_SM_COUNT, _CLOCK_MHZ, _MEMORY_GBS, _SHARED_PER_SM = 16, 1300, 200.0, 167936
_OPS = {"f32": 256, "f16": 2048, "bf16": 2048, "i8": 4096}
#: clocks of a stage that are no work, of the products of a warp in it, and until what a stage asks for is there
_STEP, _PRODUCT, _LATENCY = 60, 7, 1130
#: bytes a clock that a multiprocessor gets from the second-level cache when it is alone, and when all ask; and from
#: shared memory
_L2_ALONE, _L2_BYTES, _SHARED_BYTES = 40, 28, 128
#: clocks that the end of a tile takes for each sum, and all that is to be looked up for an exact one
_END, _EXACT_END = 0.2, 300
#: clocks until the last block has the sums of others, and what it takes for four of them in each thread
_JOIN, _JOIN_FOUR = 2700, 270
#: the same in a cluster, where each block does its share: assumed, not measured
_TEAM = 2000
#: clocks that tiles take to begin and end which follow others
_WAVE = 2500
#: what warps reach on their own where the peak is that of warp groups
_WARPS_SHARE = 0.5


def efficiency(way: Way, product: Product, target: Target) -> float:
    """The share of the roofline (``builder/tuning/roofline.py``) that a tile should reach: more than 1 where the core
    is faster than the peak that it is drawn with.

    A multiprocessor does ceil(blocks / multiprocessors) parts of tiles, as many at a time as fit. A stage takes what
    its warps do one after the other, or its share of the time until copies arrive; those of blocks side by side also
    share arithmetic, shared memory and the second-level cache, which all multiprocessors share once more. The last
    block of a tile reads the sums of all. What any kernel takes is no part of it. Constants were fitted to times of an
    H200 (docs/cuda.md).
    """
    figures, tile = target.figures, way.tile
    groups = product.size < 4 and target.arch == GROUP_ARCH and tile in _GROUP_TILES
    tile = _GROUP_TILES[tile] if groups else tile
    count, clock = figures.get("sm_count", _SM_COUNT), figures.get("clock_mhz", _CLOCK_MHZ) / 1000.0
    ops = figures.get("ops_per_clock", _OPS)
    peak = ops.get(product.peak, ops["f32"])
    slowed = product.slowed * (_WARPS_SHARE if target.arch == GROUP_ARCH and not groups else 0.9)
    rate = ops.get(product.pace, ops["f32"]) * slowed
    blocks = tile.grid(product.rows, product.columns)[0] * way.split
    own = ceil_div(blocks, count)  # of the busiest multiprocessor
    shared = figures.get("shared_bytes_per_sm", _SHARED_PER_SM)
    resident = max(min(own, shared // (tile.shared + 1024), 2048 // tile.threads), 1)
    waves = ceil_div(own, resident)

    down, across, along = tile.warps
    steps = ceil_div(ceil_div(product.depth * product.size, tile.bytes), way.split)
    nbytes, area = steps * tile.bytes, tile.rows * tile.columns
    products = 0 if groups else area // (128 * down * across) * max(tile.bytes // 32 // along, 1) / product.slowed
    step = max(_STEP + _PRODUCT * products, _LATENCY / max(tile.stages - 1 - groups, 1))
    read = (tile.rows + tile.columns) * nbytes
    fragments = 0 if groups else (tile.rows * across + tile.columns * down) * nbytes
    wave = max(
        steps * step,
        resident * 2 * area * (nbytes / product.size) / rate,
        resident * fragments / _SHARED_BYTES,
        resident * read / _L2_ALONE,
    )
    clocks = max(waves * wave, blocks * read / (count * _L2_BYTES)) + (waves - 1) * _WAVE
    clocks += own * area * _END + (_EXACT_END if product.size == 1 else 0)
    fours = way.split * ceil_div(area, 4 * tile.threads)
    if way.split > 1 and target.arch in TEAM_ARCHS:
        clocks += _TEAM + _JOIN_FOUR * fours / way.split
    elif way.split > 1:
        clocks += _JOIN + _JOIN_FOUR * fours
    took = clocks / clock
    moved = product.moved / figures.get("memory_gbs", _MEMORY_GBS)
    ideal = max(2 * product.rows * product.columns * product.depth / (peak * count * clock), moved)
    return max(1e-3, ideal / (max(took, moved / 0.85) + 1e-9))
