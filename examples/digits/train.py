"""Trains the digit classifier of the demo and writes digits_cnn.onnx and digits_test.npz beside this file.

    pip install torch==2.13.0 scikit-learn onnx
    python examples/digits/train.py

The data are the 1,797 handwritten digits that come with scikit-learn, 8x8 pixels of 0..16. Every fifth (index % 5 == 0)
is held out and never seen in training. A small residual network on pixels scaled to 0..1, trained on images shifted,
turned and scaled a little; the weights kept are a running mean over the training. One thread and fixed seeds: the same
machine gives the same file.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from onnx_writer import Writer  # noqa: E402

EPOCHS = 120
BATCH = 64
LEARNING_RATE = 4e-3
WEIGHT_DECAY = 2e-3
HELD_OUT_EVERY = 5


class Unit(nn.Module):
    """3x3 convolution and batch normalisation."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)

    def forward(self, x):
        return self.norm(self.conv(x))


class Residual(nn.Module):
    """relu(x + unit(relu(unit(x))))."""

    def __init__(self, channels: int):
        super().__init__()
        self.first = Unit(channels, channels)
        self.second = Unit(channels, channels)

    def forward(self, x):
        return F.relu(x + self.second(F.relu(self.first(x))))


class Classifier(nn.Module):
    """[n, 1, 8, 8] pixels in 0..1 -> [n, 10] logits."""

    def __init__(self):
        super().__init__()
        self.stem = Unit(1, 16)
        self.block1 = Residual(16)
        self.widen = Unit(16, 32)
        self.block2 = Residual(32)
        self.head = nn.Linear(32, 10)

    def forward(self, x):
        x = self.block1(F.relu(self.stem(x)))
        x = F.relu(self.widen(F.max_pool2d(x, 2)))
        x = self.block2(x)
        return self.head(x.mean(dim=(2, 3)))


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Training images [n, 8, 8] uint8 and labels [n] int64, then the held-out ones."""
    digits = load_digits()
    images, labels = digits.images.astype(np.uint8), digits.target.astype(np.int64)
    held_out = np.arange(len(labels)) % HELD_OUT_EVERY == 0
    return images[~held_out], labels[~held_out], images[held_out], labels[held_out]


def augmented(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Every image of [n, 1, 8, 8] turned by up to 12 degrees, scaled by up to 12 % and shifted by up to a pixel."""
    n = len(x)
    uniform = torch.rand((4, n), generator=generator) * 2 - 1
    angle, scale = uniform[0] * 0.21, 1 + 0.12 * uniform[1]
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    theta = torch.stack([cosine, -sine, uniform[2] / 4, sine, cosine, uniform[3] / 4], dim=1).view(n, 2, 3)
    return F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)


def train(images: np.ndarray, labels: np.ndarray) -> nn.Module:
    """Returns the averaged model, its normalisation statistics taken from the unchanged training images."""
    torch.manual_seed(1)
    generator = torch.Generator().manual_seed(2)
    x, y = torch.from_numpy(images).float().div(16)[:, None], torch.from_numpy(labels)
    model = Classifier()
    mean = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.995))
    optimiser = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    steps = EPOCHS * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, LEARNING_RATE, total_steps=steps)
    for epoch in range(EPOCHS):
        order = torch.randperm(len(x), generator=generator)
        total = 0.0
        for batch in order.split(BATCH):
            if len(batch) < BATCH:
                continue
            loss = F.cross_entropy(model(augmented(x[batch], generator)), y[batch], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            mean.update_parameters(model)
            total += loss.item()
        if epoch % 20 == 19:
            print(f"epoch {epoch + 1}: loss {total / (len(x) // BATCH):.3f}", flush=True)
    torch.optim.swa_utils.update_bn(x.split(BATCH), mean)
    return mean.module.eval()


def export(model: nn.Module, path: Path) -> int:
    """Writes the model with its BatchNormalization nodes, for the builder to fold, and returns the size of the file."""
    writer = Writer("digits_cnn", "Handwritten digits: pixels in 0..1 to the logits of ten classes.")

    def unit(name: str, module: Unit, x: str) -> str:
        weight = writer.weight(f"{name}.weight", module.conv.weight.detach().numpy())
        norm = module.norm
        statistics = [
            writer.weight(f"{name}.{key}", getattr(norm, attribute).detach().numpy())
            for key, attribute in [
                ("scale", "weight"),
                ("shift", "bias"),
                ("mean", "running_mean"),
                ("variance", "running_var"),
            ]
        ]
        x = writer.node("Conv", f"{name}.conv", x, weight, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        return writer.node("BatchNormalization", f"{name}.norm", x, *statistics, epsilon=norm.eps)

    def residual(name: str, module: Residual, x: str) -> str:
        inner = writer.node("Relu", f"{name}.first.relu", unit(f"{name}.first", module.first, x))
        added = writer.node("Add", f"{name}.add", unit(f"{name}.second", module.second, inner), x)
        return writer.node("Relu", f"{name}.relu", added)

    x = writer.node("Relu", "stem.relu", unit("stem", model.stem, "image"))
    x = residual("block1", model.block1, x)
    x = writer.node("MaxPool", "pool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = writer.node("Relu", "widen.relu", unit("widen", model.widen, x))
    x = residual("block2", model.block2, x)
    x = writer.node("Flatten", "flatten", writer.node("GlobalAveragePool", "mean", x))
    weight = writer.weight("head.weight", model.head.weight.detach().numpy())
    bias = writer.weight("head.bias", model.head.bias.detach().numpy())
    writer.node("Gemm", "head", x, weight, bias, transB=1, result="logits")
    return writer.save(path, {"image": [1, 1, 8, 8]}, {"logits": [1, 10]})


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    images, labels, test_images, test_labels = split()
    model = train(images, labels)
    with torch.no_grad():
        logits = model(torch.from_numpy(test_images).float().div(16)[:, None])
    correct = int((logits.argmax(1).numpy() == test_labels).sum())
    print(f"held out: {correct} of {len(test_labels)} right, {100 * correct / len(test_labels):.2f} %")
    size = export(model, HERE / "digits_cnn.onnx")
    np.savez_compressed(HERE / "digits_test.npz", images=test_images, labels=test_labels.astype(np.uint8))
    print(f"wrote {HERE / 'digits_cnn.onnx'}, {size:,} bytes")


if __name__ == "__main__":
    main()
