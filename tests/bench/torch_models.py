"""The networks of the GPU benchmark as PyTorch modules with random weights, and their ONNX files.

PyTorch is needed to make them and to compare with: ``python tests/bench/torch_models.py FOLDER`` writes one file a
network.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv(
    channels: int, out: int, size: int, stride: int = 1, groups: int = 1, act: nn.Module | None = None
) -> nn.Module:
    """Convolution, batch normalisation, activation."""
    layers = [nn.Conv2d(channels, out, size, stride, size // 2, groups=groups, bias=False), nn.BatchNorm2d(out)]
    return nn.Sequential(*layers, *([act] if act else []))


class Bottleneck(nn.Module):
    """The block of ResNet-50 (K. He et al., 2016), with the stride in its 3x3 convolution."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.around = nn.Identity() if stride == 1 and channels == out else conv(channels, out, 1, stride)
        self.through = nn.Sequential(
            conv(channels, width, 1, act=nn.ReLU()), conv(width, width, 3, stride, act=nn.ReLU()), conv(width, out, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.through(x) + self.around(x))


def resnet50() -> nn.Module:
    layers: list[nn.Module] = [conv(3, 64, 7, 2, act=nn.ReLU()), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for i in range(blocks):
            layers.append(Bottleneck(channels, 64 << stage, 2 if i == 0 and stage else 1))
            channels = 256 << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


class Inverted(nn.Module):
    """The block of MobileNet v2 (M. Sandler et al., 2018)."""

    def __init__(self, channels: int, out: int, stride: int, expand: int) -> None:
        super().__init__()
        wide = channels * expand
        first = [conv(channels, wide, 1, act=nn.ReLU6())] if expand > 1 else []
        depthwise = conv(wide, wide, 3, stride, groups=wide, act=nn.ReLU6())
        self.through = nn.Sequential(*first, depthwise, conv(wide, out, 1))
        self.adds = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.through(x) if self.adds else self.through(x)


def mobilenet_v2() -> nn.Module:
    layers: list[nn.Module] = [conv(3, 32, 3, 2, act=nn.ReLU6())]
    channels = 32
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expand, out, blocks, stride in rows:
        for i in range(blocks):
            layers.append(Inverted(channels, out, stride if i == 0 else 1, expand))
            channels = out
    layers += [conv(channels, 1280, 1, act=nn.ReLU6()), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*layers)


class Layer(nn.Module):
    """An encoder layer; ``first`` normalises before the products, as ViT does, not behind them, as BERT does."""

    def __init__(self, width: int, heads: int, first: bool) -> None:
        super().__init__()
        self.heads, self.first = heads, first
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def attend(self, x: Tensor) -> Tensor:
        batch, rows, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, rows, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(batch, rows, width))

    def forward(self, x: Tensor) -> Tensor:
        if self.first:
            x = x + self.attend(self.norms[0](x))
            return x + self.mlp(self.norms[1](x))
        x = self.norms[0](x + self.attend(x))
        return self.norms[1](x + self.mlp(x))


class VisionTransformer(nn.Module):
    """ViT-Ti/16 (A. Dosovitskiy et al., 2021; H. Touvron et al., 2021): 12 layers of width 192 with 3 heads."""

    def __init__(self, width: int = 192, heads: int = 3, depth: int = 12) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(0.02 * torch.randn(1, 197, width))
        self.layers = nn.Sequential(*(Layer(width, heads, first=True) for _ in range(depth)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 1000)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        return self.head(self.norm(self.layers(x))[:, 0])


def encoder() -> nn.Module:
    """Six layers as in BERT (J. Devlin et al., 2019) of width 384 with 12 heads, on embeddings that are given."""
    return nn.Sequential(*(Layer(384, 12, first=False) for _ in range(6)))


@dataclass(frozen=True)
class Network:
    """``shape`` is that of the input without the batch."""

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    convolutional: bool


NETWORKS = {
    "resnet50": Network(resnet50, (3, 224, 224), True),
    "mobilenet_v2": Network(mobilenet_v2, (3, 224, 224), True),
    "vit_tiny": Network(VisionTransformer, (3, 224, 224), False),
    "encoder": Network(encoder, (128, 384), False),
}


def module(name: str) -> nn.Module:
    """The network with the same random weights every time; activations keep their magnitude from layer to layer."""
    torch.manual_seed(0)
    made = NETWORKS[name].make()
    for part in made.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        if isinstance(part, nn.BatchNorm2d):
            part.weight.data.uniform_(0.5, 1.0)
            part.bias.data.uniform_(-0.1, 0.1)
    return made.eval()


def example(name: str, batch: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(batch, *NETWORKS[name].shape)


def write(name: str, batch: int, folder: Path) -> Path:
    """The network for that batch as ``folder/name_b<batch>.onnx``."""
    path = folder / f"{name}_b{batch}.onnx"
    names = {"input_names": ["x"], "output_names": ["y"]}
    torch.onnx.export(module(name), (example(name, batch),), str(path), opset_version=18, dynamo=False, **names)
    return path


if __name__ == "__main__":
    for network in NETWORKS:
        print(write(network, 1, Path(sys.argv[1])))
