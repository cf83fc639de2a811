"""The teacher of the policy: energy swing-up far from upright, linear-quadratic regulation near it.

It knows the plant's equations and full state; the policy learns to do the same from the observation alone. Sources:
K. J. Astrom and K. Furuta, "Swinging up a pendulum by energy control", Automatica 36 (2000); the regulator is the
stationary solution of the Riccati equation for the plant linearised upright.
"""

import numpy as np
from plant import Params
from scipy.linalg import solve_continuous_are

STATE_COST = np.diag([40.0, 3.0, 10.0, 0.3])  # x (m), v, theta (rad), omega
ACTION_COST = np.array([[3.0]])
POSITION_ERROR = 0.6  # m: a farther target is approached as if it were this near
CATCH = 0.5  # rad: the regulator takes over when the unstable mode's angle is within this
SURPLUS = 0.05  # of the energy between hanging and upright: for a pole longer than believed
SWING_ACCELERATION = 5.5  # m/s^2 of the cart at most, to pump energy


class Expert:
    """Actions in [-1, 1] for states of the plant with the given parameters."""

    def __init__(self, params: Params):
        self.params = params
        self.ml = params.pole_mass * params.pole_length / 2
        self.inertia = 4 / 3 * self.ml * params.pole_length / 2
        self.mass = params.cart_mass + params.pole_mass
        self.rate = np.sqrt(self.ml * params.gravity / self.inertia)  # 1/s, of falling from upright
        self.gain = self._regulator()

    def _regulator(self) -> np.ndarray:
        p = self.params
        inverse = np.linalg.inv([[self.mass, self.ml], [self.ml, self.inertia]])
        a, b = np.zeros((4, 4)), np.zeros((4, 1))
        a[[0, 2], [1, 3]] = 1
        a[[1, 3]] = inverse @ [[0, -p.cart_friction, 0, 0], [0, 0, self.ml * p.gravity, -p.pivot_friction]]
        b[[1, 3], 0] = inverse @ [p.max_force, 0]
        riccati = solve_continuous_are(a, b, STATE_COST, ACTION_COST)
        return np.linalg.solve(ACTION_COST, b.T @ riccati)[0]

    def action(self, states: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Actions [n] for states [n, 4] and targets [n, 4], float64."""
        x, v, theta, omega = states.T
        theta = np.arctan2(np.sin(theta), np.cos(theta))
        position_error = POSITION_ERROR * np.tanh((x - targets[:, 0]) / POSITION_ERROR)
        velocity_error = v - targets[:, 1]
        slope = targets[:, 2:] / self.params.gravity
        lean = np.arctan(slope[:, 0])  # at which the pole keeps up with the target, and the rate of that:
        turn = slope[:, 1] / (1 + slope[:, 0] ** 2)
        follow = (self.mass * targets[:, 2] + self.params.cart_friction * targets[:, 1]) / self.params.max_force
        error = np.stack([position_error, velocity_error, theta - lean, omega - turn], axis=1)
        regulate = follow - error @ self.gain
        swing = self._swing(position_error, velocity_error, v, theta, omega)
        near = _smooth_step((CATCH - np.abs(theta + omega / self.rate)) / 0.05)
        near *= _smooth_step((0.9 - np.abs(theta)) / 0.05)
        return np.clip(near * np.clip(regulate, -1, 1) + (1 - near) * np.clip(swing, -1, 1), -1, 1)

    def _swing(self, position_error, velocity_error, v, theta, omega) -> np.ndarray:
        """Moves the cart so that the pole's energy goes to that of standing upright, without leaving the target."""
        p = self.params
        sine, cosine = np.sin(theta), np.cos(theta)
        energy = 0.5 * self.inertia * omega**2 + self.ml * p.gravity * (cosine - 1)
        missing = energy / (2 * self.ml * p.gravity) - SURPLUS  # -1 - SURPLUS when hanging still
        pump = SWING_ACCELERATION * np.tanh(4 * missing) * np.tanh(omega * cosine / 0.5)
        acceleration = pump - 3.0 * position_error - 1.5 * velocity_error
        angular = (self.ml * (p.gravity * sine - cosine * acceleration) - p.pivot_friction * omega) / self.inertia
        force = self.mass * acceleration + self.ml * (cosine * angular - sine * omega**2) + p.cart_friction * v
        return force / p.max_force


def _smooth_step(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))
