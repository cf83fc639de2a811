"""The plant of plant.c for Python: the same code, compiled here and called through ctypes, many plants at once."""

import ctypes
import dataclasses
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
OBSERVATIONS = 8


@dataclasses.dataclass
class Params:
    """Parameters of the plant, as in plant.h; `array` lays them out for the C code."""

    cart_mass: float
    pole_mass: float
    pole_length: float
    cart_friction: float
    pivot_friction: float
    gravity: float
    max_force: float

    def array(self, count: int) -> np.ndarray:
        """[count, 7] float64, all rows alike."""
        return np.tile(np.array(dataclasses.astuple(self), np.float64), (count, 1))


class _CParams(ctypes.Structure):
    _fields_ = [(field.name, ctypes.c_double) for field in dataclasses.fields(Params)]


def _load() -> ctypes.CDLL:
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler) is None:
        raise RuntimeError(f"training runs the plant of plant.c and needs a C compiler; '{compiler}' is not there")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder, "plant.so")
        command = [compiler, "-std=c11", "-O2", "-ffp-contract=off", "-shared", "-fPIC"]
        subprocess.run([*command, str(HERE / "plant.c"), "-o", str(library), "-lm"], check=True)
        return ctypes.CDLL(str(library))


_library = _load()
_array = np.ctypeslib.ndpointer(np.float64, flags="C_CONTIGUOUS")
_size = ctypes.c_size_t
_library.plant_default.restype = _CParams
_library.plant_step_many.restype = None
_library.plant_step_many.argtypes = [_array, _array, _array, _array, _size, ctypes.c_double, _size]
_library.plant_observe_many.restype = None
_library.plant_observe_many.argtypes = [_array, _array, np.ctypeslib.ndpointer(np.float32, flags="C_CONTIGUOUS"), _size]


def nominal() -> Params:
    """The parameters of plant_default()."""
    values = _library.plant_default()
    return Params(**{name: getattr(values, name) for name, _ in _CParams._fields_})


def step(params: np.ndarray, states: np.ndarray, actions: np.ndarray, pushes: np.ndarray, dt: float, steps: int):
    """Advances `states` [n, 4] (x, v, theta, omega) in place; params [n, 7], actions and pushes [n]; all float64."""
    _library.plant_step_many(params, states, actions, pushes, len(states), dt, steps)


def observe(states: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Observations [n, 8] float32 of states [n, 4] and targets [n, 4] (position and three derivatives), float64."""
    observations = np.empty((len(states), OBSERVATIONS), np.float32)
    _library.plant_observe_many(states, targets, observations, len(states))
    return observations
