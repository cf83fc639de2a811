"""The passes, in the order they run. Each is a plain function on the graph; a verifier runs after each."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable

from ingot.builder.ir import Graph
from ingot.builder.verify import verify

PASSES = (
    "legalize",
    "spell_out_qdq",
    "canonicalize",
    "fold",
    "cse",
    "dce",
    "recognise",
    "read_less",
    "layout",  # before fold_scale: transposes stand between convolutions and their scales
    "canonicalize",
    "fold",
    "fold_scale",
    "fuse_pad",
    "fuse_epilogue",
    "horizontal",
    "fuse_elementwise",  # last: the others look for nodes of one function
    "canonicalize",
    "fold",
    "cse",
    "dce",
)
_EPILOGUES = PASSES.index("fuse_epilogue")
#: INT8: up to where calibration looks at the graph and ``quantize`` rounds it; then the rest
TO_QUANTIZE = (
    *("legalize", "spell_out_weights", "rounding"),
    *PASSES[PASSES.index("spell_out_qdq") + 1 : _EPILOGUES],
    *("fuse_exact", "canonicalize", "fold", "cse", "dce"),
)
FROM_QUANTIZE = ("hoist_quantize", "fold_qdq", "fuse_pad", *PASSES[_EPILOGUES:])
#: what depends on the backend, before tactics are chosen
BACKEND_PASSES = ("image_conv",)
#: once tactics are chosen: what needs memory, and in which order
PLACEMENT_PASSES = ("views", "schedule")


def run_passes(
    graph: Graph,
    passes: tuple[str, ...],
    *,
    dump_after: str | None = None,
    dump: Callable[[str], None] = print,
    log: Callable[[str], None] | None = None,
) -> None:
    """Run the passes over the graph in place; ``dump`` gets the text of the graph after every pass of that name."""
    verify(graph)
    for name in passes:
        start = time.perf_counter()
        importlib.import_module(f"ingot.builder.passes.{name}").run(graph)
        verify(graph)
        if log:
            log(f"{name}: {len(graph.nodes)} nodes, {time.perf_counter() - start:.2f} s")
        if name == dump_after:
            dump(f"# after {name}\n{graph}")
