"""The main job end to end on this machine: build two engines, read digits, keep a pendulum up at 1 kHz, draw the run.

    ingot demo                         or: python -m ingot.examples.demo [--output DIR] [--seconds 10]

Needs what the extra `build` installs, and a C compiler for the control loop, which is a C program.
"""

import argparse
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import ingot

from .picture import Reading, draw

EXAMPLES = Path(__file__).resolve().parent
DIGITS, CONTROL = EXAMPLES / "digits", EXAMPLES / "control"


class DemoError(Exception):
    """Something the demo needs is missing; the message says what to do."""


def main(argv: list[str] | None = None) -> int:
    """Runs the demo and returns 0 when the digits agree with the reference and the pole stayed up, else 1."""
    parser = argparse.ArgumentParser(prog="ingot demo", description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo-out"), help="folder for engines, log and picture")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to run the control loop (5 to 600)")
    options = parser.parse_args(argv)
    if not 5 <= options.seconds <= 600:
        parser.error("--seconds must be from 5 to 600")
    try:
        return run(options.output, options.seconds)
    except (DemoError, OSError, ingot.IngotError) as error:
        print(f"ingot demo: {error}", file=sys.stderr)
        return 1


def run(output: Path, seconds: float) -> int:
    """Does everything, writes into the folder `output` and returns the exit status."""
    compiler = find_compiler()
    output.mkdir(parents=True, exist_ok=True)

    say("1. Two ONNX models become two engines")
    digits_engine = build(DIGITS / "digits_cnn.onnx", output / "digits_cnn.ingot")
    build(CONTROL / "policy.onnx", output / "policy.ingot")

    say("2. The classifier reads handwritten digits it has never seen")
    reading = read_digits(digits_engine)

    say(f"3. The policy swings up a pendulum at 1 kHz for {seconds:g} s, in C")
    program = compile_loop(compiler, output)
    log_path = output / "closed_loop.csv"
    command = [str(program), str(output / "policy.ingot"), "--seconds", f"{seconds:g}", "--log", str(log_path)]
    status = subprocess.run(command).returncode
    if status not in (0, 3):  # 3: the pole fell, worth a picture all the same
        raise DemoError(f"the control loop failed with status {status}: {shlex.join(command)}")

    log = np.genfromtxt(log_path, delimiter=",", names=True)
    picture = output / "demo.svg"
    draw(log, reading, machine(), picture)
    say(f"The picture of this run: {picture.resolve()}")
    return 0 if status == 0 and reading.accuracy == reading.reference_accuracy else 1


def say(line: str) -> None:
    print(f"\n{line}", flush=True)


def build(model: Path, path: Path):
    """Builds an engine for this machine's CPU, saves it and returns it."""
    begin = time.perf_counter()
    engine = ingot.build(model)
    engine.save(path)
    sizes = f"{model.stat().st_size / 1024:.0f} KiB -> {path.stat().st_size / 1024:.0f} KiB"
    print(f"   {model.name} -> {path}: {sizes}, {time.perf_counter() - begin:.2f} s", flush=True)
    return engine


def read_digits(engine) -> Reading:
    """Classifies the held-out digits one by one with the engine, and all at once with the ONNX reference."""
    try:
        from onnx.reference import ReferenceEvaluator
    except ImportError as error:
        raise DemoError("onnx is not installed: pip install onnx") from error
    with np.load(DIGITS / "digits_test.npz") as data:
        images, labels = data["images"], data["labels"]
    pixels = (images.astype(np.float32) / 16)[:, None, None]  # one [1, 1, 8, 8] an image
    context = engine.context(threads=1)
    logits = np.empty((len(images), 10), np.float32)
    begin = time.perf_counter()
    for i, image in enumerate(pixels):
        context.inputs["image"][...] = image
        context.run()
        logits[i] = context.outputs["logits"][0]
    each = (time.perf_counter() - begin) / len(images)
    reference = ReferenceEvaluator(str(DIGITS / "digits_cnn.onnx")).run(None, {"image": pixels[:, 0]})[0]
    reading = Reading(images, labels, logits.argmax(1), float(np.mean(reference.argmax(1) == labels)))
    error = np.linalg.norm(logits - reference) / np.linalg.norm(reference)
    ours, theirs, total = 100 * reading.accuracy, 100 * reading.reference_accuracy, len(labels)
    print(f"   engine:         {ours:.2f} % of {total} right, {1e6 * each:.0f} us an image from Python")
    print(f"   ONNX reference: {theirs:.2f} % of {total} right; logits differ by {error:.1e} (relative)", flush=True)
    return reading


def find_compiler() -> list[str]:
    """$CC or cc, as the beginning of a command line."""
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(command[0]) is None:
        raise DemoError(
            f"no C compiler: '{command[0]}' is not there, and the control loop is a C program; "
            "install one (Debian and Ubuntu: apt install gcc libc6-dev) or name yours in CC"
        )
    return command


def compile_loop(compiler: list[str], output: Path) -> Path:
    """Compiles the control loop against the installed ingot.h and libingot and returns the program."""
    program, library = output / "closed_loop", Path(ingot.get_library())
    command = [*compiler, "-std=c11", "-O2", "-ffp-contract=off", f"-I{ingot.get_include()}", "-o", str(program)]
    command += [str(CONTROL / name) for name in ("closed_loop.c", "plant.c")]
    command += [str(library), f"-Wl,-rpath,{library.parent}", "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise DemoError(f"the control loop does not compile: {shlex.join(command)}\n{done.stderr.strip()}")
    return program


def machine() -> str:
    """One line about this machine for the picture."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith(("model name", "Model")):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return f"{model}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}, one thread"


if __name__ == "__main__":
    sys.exit(main())
