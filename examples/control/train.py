"""Trains the control policy of the demo and writes policy.onnx beside this file.

    pip install torch==2.13.0 scipy onnx         (and a C compiler: the plant is plant.c itself)
    python examples/control/train.py

Imitation with data aggregation (S. Ross, G. Gordon, D. Bagnell, "A reduction of imitation learning and structured
prediction to no-regret online learning", AISTATS 2011): the network drives hundreds of plants of varied mass, length
and friction through pushes and moving targets, the expert says what it would have done in every state met, and the
network is fitted to all that was ever said. Every sample also counts mirrored, left for right. One thread and fixed
seeds: the same machine gives the same file.
"""

import sys
from pathlib import Path

import numpy as np
import plant
import torch
from expert import Expert
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from onnx_writer import Writer  # noqa: E402

HIDDEN = 64
PLANTS = 500
PERIOD, SUBSTEPS = 0.001, 5  # training decides every 5 ms; the closed loop every 1 ms
SECONDS = 6.0
KEEP_EVERY = 4  # decisions between samples kept of a run
ROUNDS = 20
ROUND_STEPS, FINAL_STEPS = 400, 20000
BATCH = 4096
MIRROR = np.array([-1, -1, 1, -1, -1, -1, -1, -1], np.float32)  # the observation seen from behind


class Policy(nn.Module):
    """[n, 8] observations -> [n, 1] actions in (-1, 1)."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Linear(plant.OBSERVATIONS, HIDDEN), nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 1)]
        )

    def forward(self, x):
        for layer in self.layers:
            x = torch.tanh(layer(x))
        return x

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Actions [n] float64 of observations [n, 8] float32."""
        with torch.no_grad():
            return self(torch.from_numpy(observations))[:, 0].double().numpy()


class Scenario:
    """Random plants, initial states, pushes and moving targets: `count` of each, for `seconds`."""

    def __init__(self, rng: np.random.Generator, count: int, seconds: float, spread: float):
        nominal = plant.nominal()
        self.params = nominal.array(count)
        self.params[:, :3] *= rng.uniform(1 - spread, 1 + spread, (count, 3))  # masses, length
        self.params[:, 3:5] *= rng.uniform(1 - 3 * spread, 1 + 5 * spread, (count, 2))  # frictions
        limit = np.array([1.0, 1.0, np.pi, 5.0])
        self.states = rng.uniform(-limit, limit, (count, 4))
        hanging = rng.random(count) < 0.3
        self.states[hanging, 2:] = [np.pi, 0] + 0.1 * rng.standard_normal((hanging.sum(), 2))
        self.push_time = rng.uniform(0, seconds, count)
        self.push_force = rng.uniform(-1.2, 1.2, count)
        self.jump_time = rng.uniform(0, seconds, count)
        self.jump = rng.uniform(-1.0, 1.0, count)
        self.frequency = rng.uniform(0.3, 2.0, count)  # rad/s
        acceleration = rng.uniform(0, 1.3, count) * (rng.random(count) < 0.8)  # m/s^2, of the target at most
        self.amplitude = np.minimum(acceleration / self.frequency**2, 0.6)
        self.phase = rng.uniform(0, 2 * np.pi, count)

    def targets(self, time: float) -> np.ndarray:
        """[count, 4] position and its first three derivatives: a slow sine, and at some moment a jump."""
        angle, rate = self.frequency * time + self.phase, self.frequency
        sine, cosine = self.amplitude * np.sin(angle), self.amplitude * np.cos(angle)
        place = sine + self.jump * (time > self.jump_time)
        return np.stack([place, rate * cosine, -(rate**2) * sine, -(rate**3) * cosine], axis=1)

    def pushes(self, time: float) -> np.ndarray:
        """[count] forces on the tip: once, for a tenth of a second."""
        return self.push_force * ((time >= self.push_time) & (time < self.push_time + 0.1))


def collect(rng: np.random.Generator, expert: Expert, policy: Policy | None) -> tuple[np.ndarray, np.ndarray]:
    """Runs the plants under the policy (or the expert) and returns observations [n, 8] and the expert's actions [n]."""
    scenario = Scenario(rng, PLANTS, SECONDS, spread=0.2)
    observations, actions = [], []
    wobble = np.zeros(PLANTS)  # slow noise on a fifth of the plants, to meet states that a good policy avoids
    noisy = rng.random(PLANTS) < 0.2
    for step in range(int(SECONDS / (PERIOD * SUBSTEPS))):
        time = step * PERIOD * SUBSTEPS
        targets = scenario.targets(time)
        seen = plant.observe(scenario.states, targets)
        told = expert.action(scenario.states, targets)
        taken = told if policy is None else policy.act(seen)
        wobble += 0.05 * (rng.standard_normal(PLANTS) - wobble)
        if step % KEEP_EVERY == 0:
            sane = np.abs(seen[:, 4]) < 25
            observations.append(seen[sane])
            actions.append(told[sane])
        taken = taken + 2.0 * wobble * noisy
        plant.step(scenario.params, scenario.states, taken, scenario.pushes(time), PERIOD, SUBSTEPS)
    return np.concatenate(observations), np.concatenate(actions).astype(np.float32)


def fit(policy: Policy, data: list[tuple[np.ndarray, np.ndarray]], steps: int, rate: float, seed: int) -> float:
    """Fits the policy to all data; what happens near upright weighs more, for that is where precision shows."""
    observations = torch.from_numpy(np.concatenate([x for x, _ in data]))
    actions = torch.from_numpy(np.concatenate([y for _, y in data]))[:, None]
    calm = (1 - observations[:, 2]) * 8 + 0.1 * observations[:, 4] ** 2 + 0.5 * observations[:, 0] ** 2
    weights = 1 + 9 * torch.exp(-4 * calm)[:, None]
    mirror = torch.from_numpy(MIRROR)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(policy.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.05)
    recent = 0.0
    for _ in range(steps):
        batch = torch.randint(len(actions), (BATCH,), generator=generator)
        sign = torch.randint(0, 2, (BATCH, 1), generator=generator) * 2 - 1
        x = torch.where(sign > 0, observations[batch], observations[batch] * mirror)
        loss = (weights[batch] * (policy(x) - sign * actions[batch]) ** 2).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        recent += 0.02 * (loss.item() - recent)
    return recent


def evaluate(policy: Policy, spread: float, seconds: float = 8.0, count: int = 500) -> str:
    """Drives plants nobody trained on at 1 kHz without pushes and says how it went."""
    scenario = Scenario(np.random.default_rng(1000), count, seconds, spread)
    scenario.jump_time[:] = seconds
    last_down, errors = np.zeros(count), []
    for step in range(int(seconds / PERIOD)):
        time = step * PERIOD
        targets = scenario.targets(time)
        actions = policy.act(plant.observe(scenario.states, targets))
        plant.step(scenario.params, scenario.states, actions, np.zeros(count), PERIOD, 1)
        last_down[np.cos(scenario.states[:, 2]) < 0.95] = time
        if time > seconds - 2:
            errors.append(scenario.states[:, 0] - targets[:, 0])
    up = last_down < seconds - 2
    root = np.sqrt(np.mean(np.square(errors)[:, up]))
    return (
        f"masses and length off by up to {100 * spread:.0f} %: {up.sum()} of {count} up and staying so, "
        f"in {np.median(last_down):.2f} s median, {last_down[up].max():.2f} s at most; "
        f"cart off its moving target by {100 * root:.1f} cm rms"
    )


def export(policy: Policy, path: Path) -> int:
    """Writes the policy as Gemm and Tanh nodes and returns the size of the file."""
    writer = Writer("cart_pole_policy", "Inverted pendulum on a cart: observation (see plant.h) to action in (-1, 1).")
    x = "observation"
    for i, layer in enumerate(policy.layers, start=1):
        weight = writer.weight(f"layer{i}.weight", layer.weight.detach().numpy())
        bias = writer.weight(f"layer{i}.bias", layer.bias.detach().numpy())
        x = writer.node("Gemm", f"layer{i}", x, weight, bias, transB=1)
        x = writer.node("Tanh", f"layer{i}.tanh", x, result="action" if i == len(policy.layers) else None)
    return writer.save(path, {"observation": [1, plant.OBSERVATIONS]}, {"action": [1, 1]})


def main() -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(1)
    rng = np.random.default_rng(2)
    expert, policy = Expert(plant.nominal()), Policy()
    data = [collect(rng, expert, None) for _ in range(2)]
    loss = fit(policy, data, 3 * ROUND_STEPS, 3e-3, seed=100)
    for number in range(ROUNDS):
        data.append(collect(rng, expert, policy))
        loss = fit(policy, data, ROUND_STEPS, 2e-3, seed=number)
        print(f"round {number + 1}: {sum(len(y) for _, y in data):,} samples, loss {loss:.5f}", flush=True)
    print(f"final: loss {fit(policy, data, FINAL_STEPS, 3e-3, seed=200):.5f}", flush=True)
    for spread in (0.0, 0.1, 0.2):
        print(evaluate(policy, spread), flush=True)
    size = export(policy, HERE / "policy.onnx")
    print(f"wrote {HERE / 'policy.onnx'}, {size:,} bytes")


if __name__ == "__main__":
    main()
