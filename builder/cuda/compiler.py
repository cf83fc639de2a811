"""Compiles instances with NVRTC, in a worker process for each core; what was compiled before comes from the cache."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from ingot.builder.cuda.cache import Cache
from ingot.builder.cuda.instance import (
    FOLDERS,
    NVRTC_FOLDER,
    Compiled,
    CompileError,
    Instance,
    Log,
    included,
    kernel_folder,
)
from ingot.builder.cuda.nvrtc import Library
from ingot.builder.cuda.ptxas import first_error, resources
from ingot.errors import BuildError
from ingot.targets import Target


class NvrtcCompiler:
    """A :class:`ingot.builder.cuda.instance.Compiler`. What was compiled before comes from ``cache``."""

    def __init__(self, library: Library, cache: Cache | None = None) -> None:
        self.library = library
        self.cache = cache

    @property
    def version(self) -> str:
        return f"NVRTC {self.library.version}"

    def compile(self, instances: Sequence[Instance], target: Target, log: Log | None) -> Mapping[Instance, Compiled]:
        """All instances, in parallel, those that the cache knows excepted."""
        folder = kernel_folder()
        places = [folder / each for each in (*FOLDERS, NVRTC_FOLDER)]
        found: dict[Instance, Compiled] = {}
        missing: dict[Instance, str] = {}
        for instance in dict.fromkeys(instances):
            files = included(instance.text, places)
            key = self.cache.key(self.version, target.arch, instance, files) if self.cache else ""
            known = self.cache.load(key) if self.cache else None
            if known:
                found[instance] = known
            else:
                missing[instance] = key
        options = [f"--gpu-architecture={target.arch}", *(f"-I{place}" for place in places), "--ptxas-options=-v"]
        for instance, compiled in _compile_all(self.library, list(missing), options, log):
            found[instance] = compiled
            if self.cache:
                self.cache.save(missing[instance], compiled)
        return {instance: found[instance] for instance in instances}


class _Worker:
    """A process with an NVRTC of its own."""

    def __init__(self, library: Library) -> None:
        command = [sys.executable, str(Path(__file__).with_name("worker.py")), str(library.path), str(library.builtins)]
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  (no pipe: nobody would empty it)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints)
        try:
            self._answer()
        except ValueError:
            self.close()
            raise BuildError(f"{library.path}: {self.complaint}") from None

    def compile(self, instance: Instance, options: Sequence[str]) -> Compiled:
        job = {"text": instance.text, "options": [*options, *instance.options]}
        try:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
            answer = self._answer()
            image = self.process.stdout.read(answer["size"])
        except (OSError, ValueError):
            raise CompileError(instance, f"the compiler ended: {self.complaint}") from None
        if answer["status"]:
            raise CompileError(instance, first_error(answer["log"]))
        return Compiled(image, **resources(answer["log"]))

    @property
    def complaint(self) -> str:
        """Why the process is gone: its last words, or its status."""
        status = self.process.wait()
        self._complaints.seek(0)
        lines = self._complaints.read().decode("utf-8", "replace").splitlines()
        return lines[-1] if lines else f"status {status}"

    def _answer(self) -> dict:
        """A line of JSON; ``ValueError`` when the process is gone."""
        return json.loads(self.process.stdout.readline())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def _compile_all(
    library: Library, instances: Sequence[Instance], options: Sequence[str], log: Log | None
) -> Iterator[tuple[Instance, Compiled]]:
    """Each instance with its code, as they are done."""
    if not instances:
        return
    count = min(os.cpu_count() or 1, len(instances))
    idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
    workers: list[_Worker] = []

    def one(instance: Instance) -> tuple[Instance, Compiled]:
        worker = idle.get()
        try:
            return instance, worker.compile(instance, options)
        finally:
            idle.put(worker)

    pool = ThreadPoolExecutor(count)
    try:
        for _ in range(count):
            workers.append(_Worker(library))
            idle.put(workers[-1])
        for done, result in enumerate(as_completed([pool.submit(one, each) for each in instances])):
            yield result.result()
            if log:
                log(f"compiling kernels: {done + 1} of {len(instances)}")
    finally:
        for worker in workers:
            worker.close()
        pool.shutdown(cancel_futures=True)
