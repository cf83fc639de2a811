"""find the range of every tensor, for INT8

DATA is a folder of .npy or .npz files or of images, or one such file. An .npz file holds an array for each input, one
sample or several stacked. Without --data, --synthetic generates inputs: a guess, and the cache says so.

--preprocess says how the model wants images: resize=N (short side) or HxW, crop=N or HxW (centre), then
(pixel * scale - mean) / std, order=rgb|bgr|grey, layout=nchw|nhwc.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import ingot
from ingot.cli.build import parse_profile
from ingot.cli.calibration import add_method, add_preprocess, origin, parse_preprocess, summary
from ingot.cli.common import Progress, UsageError, add_json, print_json
from ingot.cli.inputs import add_input_ranges, parse_input_ranges

EXAMPLE = 'ingot calibrate model.onnx --data images --preprocess "resize=256,crop=224,scale=1/255" -o model.cache'


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument("--data", type=Path, metavar="DATA", help="samples to run the model on")
    parser.add_argument("--synthetic", action="store_true", help="generate the samples")
    add_input_ranges(parser, "for --synthetic")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="CACHE", help="the cache file to write")
    add_method(parser, "--method")
    add_preprocess(parser, "--preprocess")
    parser.add_argument(
        "--format",
        choices=["ingot", "tensorrt"],
        default="ingot",
        help="of the cache: Ingot's own, or TensorRT's, which keeps nothing but scales (ingot)",
    )
    parser.add_argument(
        "--profile", action="append", default=[], metavar="NAME=SHAPE", help="the shape of an input, may be repeated"
    )
    add_json(parser)


def run(options: argparse.Namespace) -> int:
    if (options.data is None) != options.synthetic:
        raise UsageError("give either --data DATA or --synthetic")
    if options.input_range and not options.synthetic:
        raise UsageError("--input-range is for --synthetic")
    ranges = parse_input_ranges(options.input_range)
    profile = dict(map(parse_profile, options.profile))
    if len(profile) != len(options.profile):
        raise UsageError("--profile names an input twice")
    if not options.output.absolute().parent.is_dir():
        raise UsageError(f"{options.output}: its folder does not exist")
    start = time.perf_counter()
    with Progress(f"calibrating {options.model.name}") as progress:
        ingot._builder()  # says what to install when it cannot be imported
        from ingot.builder import calibrate as calibration
        from ingot.builder.calibrate.cache import to_tensorrt
        from ingot.builder.files import write_text

        found = calibration.calibrate(
            options.model,
            calibration.Synthetic(ranges) if options.synthetic else options.data,
            profiles=[profile] if profile else None,
            method=options.method,
            preprocess=parse_preprocess(options.preprocess),
            log=progress,
        )
    if options.format == "tensorrt":
        write_text(options.output, to_tensorrt(found))
    else:
        found.save(options.output)
    result = {"cache": str(options.output), **summary(found), "seconds": time.perf_counter() - start}
    if options.json:
        print_json({**result, "skipped": found.skipped})
    else:
        print(f"{options.output}: {result['tensors']} tensors, {origin(found)}, {result['seconds']:.2f} s")
        for name, reason in found.skipped.items():
            print(f"  no range: {name} {reason}")
    return 0
