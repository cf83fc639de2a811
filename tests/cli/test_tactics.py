"""``ingot tune``, ``ingot build --tune`` and timing caches in ``ingot cache``."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest

import ingot
from ingot.builder.tuning import local
from ingot.builder.tuning.cache import TimingCache, as_kept
from ingot.builder.tuning.measure import measure

DIGITS = Path(str(resources.files("ingot.examples") / "digits/digits_cnn.onnx"))


@pytest.fixture(scope="module")
def timings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What this machine measures for the digits."""
    path = tmp_path_factory.mktemp("tuned") / "digits.timings"
    ingot.build(DIGITS, tune=True, timing_cache=path)
    return path


class Nothing(local.Local):
    """A machine that measures nothing."""

    def steps(self, *_: object) -> None:
        raise AssertionError("a step was measured")

    def programs(self, *_: object) -> None:
        raise AssertionError("a program was measured")


class TestBuild:
    def test_the_same_cache_gives_the_same_bytes(self, cli, timings: Path, tmp_path: Path, monkeypatch) -> None:
        tuned = ingot.build(DIGITS, tune=True, timing_cache=timings).digest
        monkeypatch.setattr("ingot.builder.Local", Nothing)
        assert ingot.build(DIGITS, timing_cache=timings).digest == tuned
        assert ingot.build(DIGITS, tune=True, timing_cache=timings).digest == tuned
        out = tmp_path / "digits.ingot"
        done = cli("build", DIGITS, "-o", out, "--timing-cache", timings, "--timing-cache-only", "--json")
        assert done.status == 0, done.err
        assert done.json["digest"] == tuned and done.json["tactics"]["measured"] == 0

    def test_the_engine_says_why(self, cli, timings: Path, tmp_path: Path) -> None:
        out = tmp_path / "digits.ingot"
        done = cli("build", DIGITS, "-o", out, "--timing-cache", timings)
        assert done.status == 0 and "0 candidates measured" in done.out
        with ingot.load(out) as engine:
            rows = engine.inspect()["metadata"]["tactics"]
        assert rows and all(set(row) == {"layer", "tactic", "why", "runner_up"} for row in rows)
        text = cli("inspect", out).out
        assert "tactics: " in text

    def test_what_cannot_be(self, cli, tmp_path: Path, timings: Path) -> None:
        build = ("build", DIGITS, "-o", tmp_path / "x.ingot")
        cli(*build, "--timing-cache-only").failed(2, "--timing-cache FILE")
        cli(*build, "--timing-cache-only", "--tune", "--timing-cache", timings).failed(2, "leave --tune out")
        cli(*build, "--timing-cache", tmp_path / "none").failed(1, "none: No such file")
        empty = tmp_path / "empty.timings"
        empty.write_text("")
        cli(*build, "--timing-cache", empty, "--tune").failed(1, f"{empty}:1: ", "not a timing cache")
        missing = ("--timing-cache", timings, "--timing-cache-only", "--threads", 2)
        cli(*build, *missing).failed(1, "no time of", "for layer", "2 thread(s)", "ingot tune")
        assert not (tmp_path / "x.ingot").exists()


class TestTune:
    def test_it_writes_and_goes_on(self, cli, timings: Path, tmp_path: Path) -> None:
        path = tmp_path / "again.timings"
        path.write_bytes(timings.read_bytes())
        done = cli("tune", DIGITS, "-o", path)
        assert done.status == 0 and "tuned for cpu" in done.out and "0 candidates measured" in done.out
        assert path.read_bytes() == timings.read_bytes()
        done = cli("tune", DIGITS, "-o", tmp_path / "new.timings", "--json")
        assert done.status == 0 and done.json["tactics"]["measured"] > 0
        cli("tune", DIGITS, "-o", path, "--effort", 0).failed(2, "--effort 0")

    def test_packs(self, cli, timings: Path, tmp_path: Path) -> None:
        """What a pack measures elsewhere is what a build with the cache alone needs."""
        pack, out = tmp_path / "digits.pack", tmp_path / "x.ingot"
        cli("tune", DIGITS).failed(2, "--pack PACK")
        assert cli("tune", DIGITS, "--pack", pack).out == f"{pack}\n"
        cache = TimingCache()
        for times in measure(pack.read_bytes()):
            for key, timing in times.items():
                cache.add(key, as_kept(timing))
        cache.save(tmp_path / "device.timings")
        only = ("--timing-cache", tmp_path / "device.timings", "--timing-cache-only")
        assert cli("build", DIGITS, "-o", out, *only).status == 0
        done = cli("tune", DIGITS, "--pack", tmp_path / "more.pack", "-o", tmp_path / "device.timings")
        assert "nothing to measure" in done.out and not (tmp_path / "more.pack").exists()


class TestCache:
    def test_show_merge_diff_prune(self, cli, timings: Path, tmp_path: Path) -> None:
        assert "problem on cpu/" in cli("cache", "show", timings).out
        entries = cli("cache", "show", timings, "--json").json[str(timings)]
        assert entries and entries[0]["median_ns"] > 0
        foreign = tmp_path / "foreign.timings"
        lines = [line for line in timings.read_text().splitlines() if not line.startswith("sha256 ")]
        foreign.write_text("".join(f"{line.replace('cpu/', 'elsewhere/')}\n" for line in lines))
        merged = tmp_path / "merged.timings"
        assert cli("cache", "merge", timings, foreign, "-o", merged).status == 0
        assert len(cli("cache", "show", merged, "--json").json[str(merged)]) == 2 * len(entries)
        done = cli("cache", "diff", timings, merged)
        assert done.status == 1 and f"{len(entries)} of {2 * len(entries)} times differ" in done.out
        pruned = tmp_path / "pruned.timings"
        done = cli("cache", "prune", merged, "-o", pruned)
        assert done.status == 0 and f"{len(entries)} of other targets" in done.out
        assert pruned.read_text() == timings.read_text()
        assert cli("cache", "diff", timings, pruned).status == 0

    def test_what_cannot_be(self, cli, timings: Path, tmp_path: Path) -> None:
        other = tmp_path / "calibration.cache"
        other.write_text("ingot calibration cache 1\n")
        cli("cache", "merge", timings, other, "-o", tmp_path / "x").failed(2, "is a timing cache", "calibration.cache")
        cli("cache", "prune", other, "-o", tmp_path / "x").failed(2, "not a timing cache")
        cli("cache", "prune", timings).failed(2, "prune needs -o")
        cli("cache", "show", timings, "--target", "cpu").failed(2, "--target is for prune")
        cli("cache", "prune", timings, "-o", tmp_path / "x", "--target", "moon").failed(2, "moon", "ingot targets")
        damaged = tmp_path / "damaged.timings"
        damaged.write_text(timings.read_text().replace("\t1\t", "\t2\t"))
        cli("cache", "show", damaged).failed(1, "SHA-256")
