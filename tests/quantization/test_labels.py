"""Labels of calibration samples, from arrays and from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ingot.builder.calibrate.data import DataError, Item, Kept, label_rows
from ingot.builder.precision.labels import read_labels
from ingot.builder.precision.samples import Judged


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder ``data`` with three samples."""
    (tmp_path / "data").mkdir()
    for name in ("b", "a", "c"):
        np.save(tmp_path / "data" / f"{name}.npy", np.zeros(2, np.float32))
    return tmp_path


def test_arrays() -> None:
    assert read_labels([3, 1, 2], None).tolist() == [3, 1, 2]
    assert read_labels(np.array([[0, 1]], np.uint8), None).tolist() == [[0, 1]]


@pytest.mark.parametrize("text", ["7\n8\n9\n", "class\n7\n8\n9\n", "7,x\n8,y\n9,z\n", "7\r\n\r\n8\r\n9"])
def test_one_class_a_row(tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.csv").write_bytes(text.encode())
    assert read_labels(tmp_path / "labels.csv", None).tolist() == [7, 8, 9]


@pytest.mark.parametrize("heading", ["", "file,class,name\n"])
def test_files_by_name(folder: Path, heading: str) -> None:
    (folder / "labels.csv").write_text(f"{heading}c.npy,2,x\nother.npy,9,x\na.npy,0,x\nb.npy,1,x\n")
    assert read_labels(folder / "labels.csv", folder / "data").tolist() == [0, 1, 2]


def test_numpy_files(tmp_path: Path) -> None:
    np.save(tmp_path / "labels.npy", np.arange(4))
    np.savez(tmp_path / "labels.npz", labels=np.arange(4), image=np.zeros(3))
    for name in ("labels.npy", "labels.npz"):
        assert read_labels(tmp_path / name, None).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.txt", b"1", "x.txt: labels are a .csv, .npy or .npz file"),
        ("x.npy", b"1", "x.npy: not a file of numbers"),
        ("x.csv", b"\xff\xfe", "x.csv: not a .csv file"),
        ("x.csv", b"", "x.csv: holds no labels|x.csv: holds float64"),
        ("x.csv", b"1\ntwo\n", r"x.csv:2: want CLASS"),
        ("x.csv", b"1\n-2\n", r"x.csv:2: want CLASS"),
        ("x.csv", b"a.npy,1\nb.npy\n", r"x.csv:2: want FILE,CLASS"),
        ("x.csv", b"a.npy,1\nb.npy,1\n", r"x.csv: no label for c.npy"),
    ],
)
def test_files_that_cannot_be_used(folder: Path, name: str, content: bytes, message: str) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_labels(folder / name, folder / "data")


def test_missing_file_and_missing_key(folder: Path) -> None:
    with pytest.raises(DataError, match=r"no\.npy: No such file"):
        read_labels(folder / "no.npy", None)
    np.savez(folder / "x.npz", image=np.zeros(3))
    with pytest.raises(DataError, match="no array is called 'labels'"):
        read_labels(folder / "x.npz", None)
    (folder / "x.csv").write_text("a.npy,1\n")
    with pytest.raises(DataError, match="names files, and the calibration data are no folder"):
        read_labels(folder / "x.csv", [{"x": 1}])


def test_rows_of_labels() -> None:
    assert label_rows("here", [1, 2, 3, 4], 2).tolist() == [[1, 2], [3, 4]]
    assert label_rows("here", np.zeros((2, 3, 3), np.int32), 2).shape == (2, 9)
    for labels, message in ((np.zeros(3, np.int64), "3 labels for 2"), (np.zeros(2), "labels are float64")):
        with pytest.raises(DataError, match=f"here: .*{message}"):
            label_rows("here", labels, 2)


def test_labels_stay_with_their_samples() -> None:
    samples = [{"x": np.full(2, index, np.float32)} for index in range(6)]
    kept = []
    for order in (range(6), range(5, -1, -1)):
        judged = Judged(3, [10 * index for index in order], generated=False)
        for index in order:
            judged.add((index * 5) % 6, Item("", samples[index]))
        kept.append([(item.arrays["x"][0], int(item.label[0])) for item in judged.take() + judged.rest(2)])
    assert kept[0] == kept[1] == [(1, 10), (2, 20), (3, 30), (0, 0), (5, 50)]
    assert len(Kept(1).items) == 0


@pytest.mark.parametrize(("count", "judged", "apart"), [(40, 16, True), (20, 10, True), (6, 6, False)])
def test_biases_are_fitted_to_samples_that_are_not_judged(count: int, judged: int, apart: bool) -> None:
    samples = Judged(16, None, generated=False)
    for index in range(count):
        samples.add(index, Item("", {"x": np.full(2, index, np.float32)}))
    judging, fitting = ({int(i.arrays["x"][0]) for i in items} for items in (samples.take(), samples.rest(16)))
    assert len(judging) == judged and fitting and judging.isdisjoint(fitting) == apart
