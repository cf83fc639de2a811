"""What ``ingot cache`` does with timing caches."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ingot.cli.common import UsageError, print_json, shorten, table, time_text

HEADER = b"ingot timing cache "


def is_timings(path: Path) -> bool:
    """Whether the file begins as a timing cache does; what cannot be read does not."""
    try:
        with path.open("rb") as file:
            return file.read(len(HEADER)) == HEADER
    except OSError:
        return False


def run(options: argparse.Namespace) -> int:
    """``show``, ``merge``, ``prune`` or ``diff``; the files are timing caches."""
    from ingot.builder.tuning.cache import TimingCache

    caches = {str(path): TimingCache.load(path) for path in options.files}
    return {"show": _show, "merge": _merge, "prune": _prune, "diff": _diff}[options.action](caches, options)


def _show(caches: dict[str, Any], options: argparse.Namespace) -> int:
    if options.json:
        print_json({path: [_entry(*item) for item in sorted(cache.entries.items())] for path, cache in caches.items()})
        return 0
    for path, cache in caches.items():
        targets = sorted({key.target for key in cache.entries})
        print(f"{path}: {len(cache.entries)} times, for {', '.join(targets) or 'no target'}")
        for target in targets:
            rows = [
                [time_text(t.median_ns), _spread(t), t.samples, key.threads, key.tactic, shorten(key.problem, 90)]
                for key, t in sorted(cache.entries.items())
                if key.target == target
            ]
            header = ["median", "spread", "samples", "threads", "tactic", f"problem on {target}"]
            print(table(rows, header, right=(0, 1, 2, 3)))
    return 0


def _merge(caches: dict[str, Any], options: argparse.Namespace) -> int:
    from ingot.builder.tuning.cache import merge

    merged = merge(caches.values())
    merged.save(options.output)
    if options.json:
        print_json({"cache": str(options.output), "times": len(merged.entries)})
    else:
        print(f"{options.output}: {len(merged.entries)} times")
    return 0


def _prune(caches: dict[str, Any], options: argparse.Namespace) -> int:
    from ingot._kernel import kernels
    from ingot.builder.tuning.cache import TimingCache, usable
    from ingot.builder.tuning.keys import fingerprint
    from ingot.targets import get, names

    if options.target and options.target not in names():
        raise UsageError(f"no target is called {options.target!r}; see ingot targets")
    known = {fingerprint(get(name)) for name in ([options.target] if options.target else names())}
    ((path, cache),) = caches.items()
    kept, outdated = usable(cache, {info.name: info.abi for info in kernels().values()}, known)
    TimingCache(kept, cache.remarks).save(options.output)
    if options.json:
        print_json({"cache": str(options.output), "times": len(kept), "removed": outdated.total})
    else:
        print(f"{options.output}: {len(kept)} times; removed from {path}: {outdated}")
    return 0


def _diff(caches: dict[str, Any], options: argparse.Namespace) -> int:
    from ingot.builder.tuning.cache import diff

    one, other = caches.values()
    found = diff(one, other)
    if options.json:
        rows = [{"key": key.text.split("\t"), "times": [t and _timing(t) for t in pair]} for key, *pair in found]
        print_json({"files": list(caches), "different": rows})
        return 1 if found else 0
    print(f"{len(found)} of {len(one.entries.keys() | other.entries.keys())} times differ")
    rows = [
        [*("-" if t is None else time_text(t.median_ns) for t in (a, b)), _ratio(a, b), key.tactic, key.problem]
        for key, a, b in found
    ]
    if rows:
        print(table(rows, ["time", "time", "ratio", "tactic", "problem"], right=(0, 1, 2)))
    return 1 if found else 0


def _ratio(one: Any, other: Any) -> str:
    return "-" if one is None or other is None else f"{other.median_ns / one.median_ns:.3f}"


def _spread(timing: Any) -> str:
    return f"{100 * timing.spread_ns / timing.median_ns:.1f}%"


def _timing(timing: Any) -> dict[str, Any]:
    return {"median_ns": timing.median_ns, "spread_ns": timing.spread_ns, "samples": timing.samples}


def _entry(key: Any, timing: Any) -> dict[str, Any]:
    fields = ("target", "problem", "tactic", "abi", "threads")
    return {name: getattr(key, name) for name in fields} | _timing(timing)
