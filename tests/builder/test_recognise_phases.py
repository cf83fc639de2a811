"""A convolution of an image's phases is one of the image."""

from __future__ import annotations

import pytest

from ingot.kernels.conv.attrs import ConvAttrs

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
ORDER = [(0, 0), (1, 0), (0, 1), (1, 1)]


def focus(make, x, corners=ORDER, step=2):
    """The phases of x as channels, channels last."""
    n, c, h, w = x.type.shape
    parts = [
        make.op(
            "slice", {"starts": (0, 0, y, left), "steps": (1, 1, step, step), "shape": (n, c, h // step, w // step)}, x
        )
        for y, left in corners
    ]
    return make.transpose(make.op("concat", {"axis": 1}, *parts), 0, 2, 3, 1)


def convolved(make, x, out=5, kernel=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1), dilations=(1, 1), groups=1):
    w = make.random(out * groups, x.type.shape[-1] // groups, *kernel)
    return make.op("conv", ConvAttrs(kernel, strides, pads, dilations, groups), x, w, make.random(out * groups), None)


@pytest.mark.parametrize("corners", [ORDER, ORDER[::-1], sorted(ORDER)])
@pytest.mark.parametrize(
    "conv", [{}, {"kernel": (1, 1), "pads": (0,) * 4}, {"kernel": (2, 3), "strides": (2, 1), "pads": (0, 2, 1, 0)}]
)
def test_four_phases(make, check, ops, corners, conv) -> None:
    y = convolved(make, focus(make, make.input(2, 3, 8, 12), corners), **conv)
    graph = check(make.graph(y), "recognise", **CLOSE)
    assert ops(graph) == ["transpose", "conv"]
    kernel = conv.get("kernel", (3, 3))
    assert graph.nodes[-1].attrs.kernel == (2 * kernel[0], 2 * kernel[1])


def test_nine_phases(make, check, ops) -> None:
    corners = [(y, x) for x in range(3) for y in range(3)]
    y = convolved(make, focus(make, make.input(1, 2, 9, 6), corners, 3))
    assert ops(check(make.graph(y), "recognise", **CLOSE)) == ["transpose", "conv"]


def test_one_channel(make, check, ops) -> None:
    y = convolved(make, focus(make, make.input(1, 1, 8, 6)))
    assert ops(check(make.graph(y), "recognise", **CLOSE)) == ["reshape", "conv"]


@pytest.mark.parametrize("conv", [{"groups": 2}, {"dilations": (2, 1)}])
def test_other_convolutions_stay(make, check, ops, conv) -> None:
    y = convolved(make, focus(make, make.input(1, 3, 8, 8)), **conv)
    assert "concat" in ops(check(make.graph(y), "recognise", **CLOSE))


@pytest.mark.parametrize("corners", [[(0, 0), (0, 0), (0, 1), (1, 1)], ORDER[:2]])
def test_what_is_no_phase_stays(make, check, ops, corners) -> None:
    y = convolved(make, focus(make, make.input(1, 3, 8, 8), corners))
    assert "concat" in ops(check(make.graph(y), "recognise", **CLOSE))


def test_phases_of_two_images_stay(make, check, ops) -> None:
    a, b = make.input(1, 3, 8, 8), make.input(1, 3, 8, 8)
    parts = [
        make.op("slice", {"starts": (0, 0, y, x), "steps": (1, 1, 2, 2), "shape": (1, 3, 4, 4)}, b if y else a)
        for y, x in ORDER
    ]
    y = convolved(make, make.transpose(make.op("concat", {"axis": 1}, *parts), 0, 2, 3, 1))
    assert "concat" in ops(check(make.graph(y), "recognise", **CLOSE))


def test_phases_that_others_read_stay(make, check, ops) -> None:
    x = focus(make, make.input(1, 3, 8, 8))
    graph = make.graph(convolved(make, x), make.ew("Relu", x))
    assert "concat" in ops(check(graph, "recognise", **CLOSE))
