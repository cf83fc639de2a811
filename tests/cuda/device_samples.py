"""The part ``samples`` of ``on_device.py``."""

from __future__ import annotations

import time
import traceback

import numpy as np
from device_common import Rows, program_of, say

import ingot
from ingot._kernel import kernels
from ingot.builder import _variant
from ingot.builder.cuda.link import link
from ingot.builder.writer import write_engine
from ingot.targets import Target


def samples_part(target: Target, only: str, jobs: int = 1) -> Rows:
    """One row a sample that is wrong; the last row counts.

    Inputs and outputs of a program are row-major, so tactics of other layouts make none.
    """
    import samples as cases
    from test_samples import assert_close, least_exact, portable_results, tactics_for

    programs, nodes = [], []
    for case in cases.CASES:
        spec, sample = case.values
        if only not in spec.name:
            continue
        for tactic in tactics_for(cases.make_node(spec, sample)[0], "cuda"):
            if not tactic.is_plain or not tactic.is_for("cuda", target.arch):
                continue
            node, arrays = cases.make_node(spec, sample)
            inputs = {v.name: a for v, a in zip(node.inputs, arrays) if v is not None and not v.is_constant}
            try:
                programs.append(program_of(node, tactic, target))
            except Exception as error:
                say(f"{spec.name} {sample.name} {tactic.key}: {error}")
                continue
            nodes.append((spec, sample, tactic, inputs))
    start = time.perf_counter()
    link(programs, target, None, None)
    say(f"{len(programs)} programs compiled in {time.perf_counter() - start:.0f} s")
    abi = {k.name: (k.abi, k.params_size) for k in kernels().values()}
    rows: Rows = []
    for program, (spec, sample, tactic, inputs) in zip(programs, nodes):
        node, arrays = cases.make_node(spec, sample)
        wanted = portable_results(node, arrays)
        what = {"operator": spec.name, "sample": sample.name, "tactic": tactic.key}
        try:
            context = ingot.load(write_engine([_variant(target, program)], {}, abi)).context()
            for _ in range(2):
                for name, array in inputs.items():
                    context.inputs[name][...] = array
                for array in context.outputs.values():
                    array.view(np.uint8).fill(0xFF) if array.size and array.ndim else None
                context.run()
            got = [np.array(context.outputs[f"out{i}"]) for i in range(len(node.outputs))]
            for value, a, w in zip(node.outputs, got, wanted):
                if tactic.numerics == "exact":
                    assert a.tobytes() == w.tobytes(), "other bits than on the CPU"
                else:
                    assert_close(a, w, value.type.dtype, least_exact(node))
        except Exception as error:
            rows.append(what | {"wrong": str(error).strip().splitlines()[0] if str(error) else repr(error)})
            say("wrong:", rows[-1])
            if "DEVICE" in str(error) or "device" in str(error):
                traceback.print_exc()
    rows.append({"samples": len(programs), "wrong": len(rows)})
    say(rows[-1])
    return rows
