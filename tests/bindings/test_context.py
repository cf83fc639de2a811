"""Contexts from Python: what goes in, what comes out, and whose memory it is."""

from __future__ import annotations

import gc
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import ingot
from ingot._kernel import empty

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "format"))
from test_proof import reversing

Feed = dict[str, np.ndarray]


class OnlyDLPack:
    """An array of another library, which has no other way out."""

    def __init__(self, array: np.ndarray, device: tuple[int, int] = (1, 0)) -> None:
        self.array, self.device = array, device

    def __dlpack__(self, **options):
        if self.device[0] != 1:
            raise RuntimeError("Unsupported device in DLTensor.")
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device


@pytest.fixture
def context(engine: ingot.Engine) -> ingot.Context:
    return engine.context()


class TestRunWithArrays:
    def test_fresh_arrays_come_back(self, context: ingot.Context, x: np.ndarray, k: np.ndarray, expected: Feed) -> None:
        first = context.run({"x": x, "k": k})
        second = context.run({"x": x * 0, "k": k})
        assert list(first) == ["p", "z"]
        np.testing.assert_allclose(first["p"], expected["p"], rtol=1e-5)
        assert (first["z"] == expected["z"]).all()
        assert (second["z"] == 0).all() and not np.shares_memory(first["z"], second["z"])

    def test_any_layout_and_kind_of_array(
        self, context: ingot.Context, x: np.ndarray, k: np.ndarray, expected: Feed
    ) -> None:
        variants = [np.asfortranarray(x), x[::-1][::-1], memoryview(x), OnlyDLPack(x), x.tolist(), tuple(map(tuple, x))]
        for value in variants:
            assert (context.run({"x": value, "k": k})["z"] == expected["z"]).all()
        x.flags.writeable = False
        assert (context.run({"x": x, "k": [2, 0, 3]})["z"] == expected["z"]).all()

    def test_threads_and_waiting_change_no_bit(self, engine: ingot.Engine, x: np.ndarray, k: np.ndarray) -> None:
        one = engine.context().run({"x": x, "k": k})
        for wait in ("block", "spin"):
            with engine.context(threads=2, wait=wait) as context:
                two = context.run({"x": x, "k": k})
            assert all((one[name] == two[name]).all() for name in one)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"x": np.zeros((5, 4), np.float32)}, "input 'x': wanted float32 4x5, got float32 5x4"),
            ({"x": np.zeros((4, 5))}, "input 'x': wanted float32 4x5, got float64 4x5"),
            ({"x": np.zeros((4, 5), ">f4")}, "input 'x': wanted float32 4x5, got float32 of the other byte order 4x5"),
            ({"x": 1.0}, "input 'x': wanted float32 4x5, got float32 scalar"),
            ({"x": [[1, 2], [3]]}, "input 'x': .*inhomogeneous"),
            ({"x": "text"}, "input 'x': wanted float32 4x5, got str"),
            ({"x": None}, "input 'x': NoneType is not an array of numbers"),
            ({"x": object()}, "input 'x': object is not an array of numbers"),
            ({"k": [0.5, 1, 2]}, "input 'k': wanted int64 3, got float64 3"),
            ({"k": np.zeros(3, np.int32)}, "input 'k': wanted int64 3, got int32 3"),
            ({"y": 1}, "no input is called 'y'; inputs: x, k"),
            ({"p": 1}, "no input is called 'p'; inputs: x, k"),
        ],
    )
    def test_wrong_inputs(
        self, context: ingot.Context, x: np.ndarray, k: np.ndarray, change: Feed, message: str
    ) -> None:
        with pytest.raises(ingot.ArgumentError, match=message):
            context.run({"x": x, "k": k, **change})

    def test_missing_inputs(self, context: ingot.Context, x: np.ndarray) -> None:
        with pytest.raises(ingot.ArgumentError, match=r"missing: input k: int64 3$"):
            context.run({"x": x})
        with pytest.raises(ingot.ArgumentError, match=r"missing: input x: float32 4x5, input k: int64 3$"):
            context.run({})
        with pytest.raises(ingot.ArgumentError, match="dict of arrays"):
            context.run([x])

    def test_memory_of_another_device(self, context: ingot.Context, x: np.ndarray, k: np.ndarray) -> None:
        with pytest.raises(ingot.ArgumentError, match=r"input 'x': OnlyDLPack is not an array"):
            context.run({"x": OnlyDLPack(x, device=(2, 0)), "k": k})

    def test_an_index_out_of_range(self, context: ingot.Context, x: np.ndarray) -> None:
        for index in (4, -5, 2**62):
            with pytest.raises(ingot.RunError, match=r"pick.*out of range"):
                context.run({"x": x, "k": np.array([0, index, 0])})
        context.run({"x": x, "k": np.array([0, -4, 3])})


class TestViews:
    def test_no_copy_either_way(self, context: ingot.Context, x: np.ndarray, k: np.ndarray, expected: Feed) -> None:
        p = context.outputs["p"]
        context.inputs["x"][...] = x
        context.inputs["k"][...] = k
        assert context.run() is None
        np.testing.assert_allclose(p, expected["p"], rtol=1e-5)
        context.inputs["x"][...] = 0
        context.run()
        assert (p == np.float32(0.2)).all()
        assert context.outputs["p"] is p

    def test_dlpack_of_an_output(self, context: ingot.Context) -> None:
        assert np.shares_memory(np.from_dlpack(context.outputs["p"]), context.outputs["p"])

    def test_they_outlive_everything(self, saved: Path) -> None:
        engine = ingot.load(saved)
        context = engine.context(threads=2)
        views = [*context.inputs.values(), *context.outputs.values()]
        context.close()
        del context, engine
        gc.collect()
        for view in views:
            view[...] = 1
        assert all((view == 1).all() for view in views)

    def test_they_are_a_mapping_that_explains_itself(self, context: ingot.Context) -> None:
        assert list(context.inputs) == ["x", "k"] and "x" in context.inputs and len(context.outputs) == 2
        assert repr(context.inputs) == "<inputs x: float32 4x5, k: int64 3>"
        with pytest.raises(KeyError, match="no output is called 'q'; outputs: p, z"):
            context.outputs["q"]
        assert context.outputs.get("q") is None
        with pytest.raises(ingot.ArgumentError, match=r"write into it, inputs\['x'\]\[...\] = x"):
            context.inputs["x"] = np.zeros((4, 5), np.float32)


class TestBinding:
    def test_inputs_and_outputs(self, context: ingot.Context, x: np.ndarray, k: np.ndarray, expected: Feed) -> None:
        p = np.zeros((4, 5), np.float32)
        before = x.copy()
        context.bind("x", x)
        context.bind("k", k)
        context.bind("p", p)
        context.run()
        np.testing.assert_allclose(p, expected["p"], rtol=1e-5)
        assert (x == before).all()
        assert context.inputs["x"] is x and context.outputs["p"] is p
        x[...] = 0
        context.run()
        assert (p == np.float32(0.2)).all()

    def test_arrays_are_held(self, context: ingot.Context, k: np.ndarray) -> None:
        context.bind("x", np.full((4, 5), 7, np.float32))
        context.bind("k", OnlyDLPack(k))
        gc.collect()
        context.run()
        assert (context.outputs["z"] == 7).all()

    def test_unbinding(self, context: ingot.Context, x: np.ndarray, k: np.ndarray) -> None:
        own = context.inputs["x"]
        context.bind("x", x)
        with pytest.raises(ingot.ArgumentError, match="'x' is bound to an array: leave it out"):
            context.run({"x": x, "k": k})
        assert (context.run({"k": k})["z"] == x[k]).all()
        context.bind("x", None)
        assert np.shares_memory(context.inputs["x"], own)
        assert (context.run({"x": x * 0, "k": k})["z"] == 0).all()

    def test_a_row_of_a_larger_array(self, context: ingot.Context, k: np.ndarray) -> None:
        large = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
        for row in large:
            context.bind("x", row)
            assert (context.run({"k": k})["z"] == row[k]).all()

    @pytest.mark.parametrize(
        ("name", "array", "message"),
        [
            ("q", np.zeros(1), "no input or output is called 'q'"),
            ("x", np.zeros((5, 4), np.float32).T, "not C-contiguous"),
            (
                "x",
                np.frombuffer(bytes(81), np.uint8)[1:].view(np.float32).reshape(4, 5),
                "not C-contiguous and aligned",
            ),
            ("x", np.zeros((4, 5)), "wanted float32 4x5, got float64 4x5"),
            ("p", np.zeros((4, 4), np.float32), "output 'p': wanted float32 4x5, got float32 4x4"),
            ("p", np.broadcast_to(np.float32(0), (4, 5)), "not C-contiguous"),
            ("p", np.frombuffer(bytes(80), np.float32).reshape(4, 5), "output 'p': the array is read-only"),
            ("x", [[0.0] * 5] * 4, "only an array can be bound, not list"),
        ],
    )
    def test_what_cannot_be_bound(self, context: ingot.Context, name: str, array, message: str) -> None:
        with pytest.raises(ingot.ArgumentError, match=message):
            context.bind(name, array)

    def test_outputs_share_with_nothing(self, context: ingot.Context, x: np.ndarray) -> None:
        context.bind("x", x)
        with pytest.raises(ingot.ArgumentError, match="shares memory with what 'x' is bound to"):
            context.bind("p", x)
        context.bind("x", None)
        context.bind("p", x)


class TestShapes:
    def test_set_shape(self) -> None:
        context = ingot.load(reversing().engine()).context()
        for rows in (16, 1, 5, 16):
            context.set_shape("x", (rows, 4))
            assert context.inputs["x"].shape == context.outputs["y"].shape == (rows, 4)
            x = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4)
            context.inputs["x"][...] = x
            context.run()
            assert (context.outputs["y"] == x + x[::-1]).all()

    def test_run_sets_the_shape_of_what_it_is_given(self) -> None:
        context = ingot.load(reversing().engine()).context()
        for rows in (3, 9, 2):
            x = np.ones((rows, 4), np.float32)
            assert context.run({"x": x})["y"].shape == (rows, 4)

    def test_out_of_range(self, context: ingot.Context) -> None:
        varying = ingot.load(reversing().engine()).context()
        for shape in ((17, 4), (0, 4), (3, 5)):
            with pytest.raises(ingot.ArgumentError, match="the engine takes"):
                varying.set_shape("x", shape)
        with pytest.raises(ingot.ArgumentError, match="the engine takes"):
            varying.run({"x": np.zeros((17, 4), np.float32)})
        with pytest.raises(ingot.ArgumentError, match="rank 2"):
            varying.set_shape("x", (4,))
        with pytest.raises(ingot.ArgumentError, match="output"):
            varying.set_shape("y", (4, 4))
        with pytest.raises(ingot.ArgumentError, match="the engine takes"):
            context.set_shape("x", (3, 5))
        assert varying.inputs["x"].shape == (16, 4)

    def test_what_was_bound_for_another_shape_is_refused(self) -> None:
        context = ingot.load(reversing().engine()).context()
        context.bind("x", np.ones((16, 4), np.float32))
        context.set_shape("x", (3, 4))
        with pytest.raises(ingot.ArgumentError, match="bind another"):
            context.run()
        context.bind("x", np.ones((3, 4), np.float32))
        context.run()
        assert (context.outputs["y"] == 2).all()


class TestTheRest:
    def test_profile_and_stats(self, engine: ingot.Engine, context: ingot.Context) -> None:
        times = context.profile()
        assert {t.name for t in times} == {"soft", "pick"} and all(t.kernel and t.nanoseconds >= 0 for t in times)
        context.run()
        stats = context.stats
        assert stats.runs == 2 and stats.threads == 1 and stats.host_bytes >= stats.arena_bytes
        assert engine.context(threads=2).stats.threads == 2
        context.reset()

    def test_options(self, engine: ingot.Engine) -> None:
        for options in (
            {"threads": 0},
            {"threads": 65},
            {"wait": "sleep"},
            {"priority": 100},
            {"threads": 2, "cpus": []},
        ):
            with pytest.raises(ingot.ArgumentError):
                engine.context(**options)
        engine.context(threads=2, cpus=[0]).run()

    def test_closed(self, engine: ingot.Engine) -> None:
        with engine.context() as context:
            context.run()
        context.close()
        for call in (context.run, context.profile, context.reset, lambda: context.stats, lambda: context.run({})):
            with pytest.raises(ingot.ArgumentError, match="closed"):
                call()
        assert "closed" in repr(context)

    def test_two_threads_on_one_context(self, engine: ingot.Engine) -> None:
        """The second is refused or comes after the first; neither disturbs the other."""
        context = engine.context()
        context.inputs["x"][...] = 1
        refused: list[ingot.RunError] = []

        def loop() -> None:
            for _ in range(2000):
                try:
                    context.run()
                except ingot.RunError as error:
                    refused.append(error)

        threads = [threading.Thread(target=loop) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert context.stats.runs + len(refused) == 4000
        assert all("another thread" in str(error) for error in refused)

    def test_a_busy_context_refuses(self, context: ingot.Context) -> None:
        with context._busy:
            for call in (context.run, context.profile, context.close, lambda: context.bind("x", None)):
                with pytest.raises(ingot.RunError, match="another thread"):
                    call()
        context.run()

    def test_an_engine_in_many_threads(self, engine: ingot.Engine, k: np.ndarray) -> None:
        failures: list[int] = []

        def work(seed: int) -> None:
            x = np.random.default_rng(seed).normal(size=(4, 5)).astype(np.float32)
            context = engine.context()
            for _ in range(200):
                if not (context.run({"x": x, "k": k})["z"] == x[k]).all():
                    failures.append(seed)

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures

    def test_inputs_without_elements(self) -> None:
        from hand import Hand

        hand = Hand()
        x = hand.input("x", (0, 3))
        y = hand.output("y", (0, 3))
        hand.unary("relu", x, y)
        context = ingot.load(hand.engine()).context()
        assert context.run({"x": empty((0, 3), np.float32)})["y"].shape == (0, 3)
        context.bind("x", np.zeros((0, 3), np.float32))
        context.run()
