"""INT8 engines of ``../shared/models``: ``python int8_engines.py FOLDER`` writes those an emulator runs in seconds.

Their self-tests hold what portable kernels computed: ``ingot-verify --self-test`` on another processor compares bits.
"""

from __future__ import annotations

import sys
from pathlib import Path

import ingot

sys.path.insert(0, str(Path(__file__).resolve().parent))
from zoo import ZooModel, models

#: under an emulator these take minutes
LARGE = ("deeplab_cityscapes_fp32", "deeplab_cityscapes_qdq_u8", "twinlitenet", "superres_espcn")


def build(model: ZooModel, *, self_test: bool = False) -> ingot.Engine:
    """The model in INT8: with its own scales, or calibrated on its one sample, which is enough to compare bits."""
    inputs, _ = model.sample()
    floats = {} if model.quantised else {"calibration": [inputs], "bias_correction": False}
    shapes = [{name: array.shape for name, array in inputs.items()}]
    return ingot.build(model.path, precision="int8", profiles=shapes, self_test=self_test, **floats)


def main(folder: str) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    for model in models():
        if model.name not in LARGE:
            build(model, self_test=True).save(Path(folder, f"{model.name}.int8.ingot"))


if __name__ == "__main__":
    main(sys.argv[1])
