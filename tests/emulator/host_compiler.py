"""What the builder takes in the place of NVRTC: kernels for the emulator. Engines made with it run on the stand-in for
the driver, on this machine alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ingot.builder.cuda.instance import Compiled, CompileError, Instance, Log
from ingot.targets import Target

sys.path.append(str(Path(__file__).parent))
import compile as emulator_compile


class HostCompiler:
    """A :class:`ingot.builder.cuda.instance.Compiler`."""

    version = "the emulator"

    def compile(self, instances: Sequence[Instance], target: Target, log: Log | None) -> Mapping[Instance, Compiled]:
        """All instances, the same for every target."""
        emulator_compile.warm((each.text, each.exact) for each in instances)
        return {each: self._one(each) for each in instances}

    def _one(self, instance: Instance) -> Compiled:
        try:
            return Compiled(emulator_compile.compile_text(instance.text, instance.exact))
        except emulator_compile.CompileError as error:
            raise CompileError(instance, str(error)) from None
