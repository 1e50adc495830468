"""Cart-pole balancing (Barto, Sutton & Anderson 1983), as in Gymnasium's CartPole-v1, and a family around it.

A pole stands on a cart; each step pushes the cart to the left or to the right with a force of fixed size. With half
the pole's length l, its mass m, the total mass M, gravity g and the force ±F,

    f = (±F + m l θ̇² sin θ) / M,
    θ̈ = (g sin θ − f cos θ) / (l (4/3 − m cos² θ / M)),
    ẍ = f − m l θ̈ cos θ / M,

integrated by Euler steps of 0.02 s (position and angle move by the *old* velocities). Every episode starts in U[−0.05,
0.05]⁴. Each step earns 1, the last one too; an episode ends when the cart is more than 2.4 from the middle or the pole
more than 12° from upright, and after 500 steps. As in Gymnasium the equations are those of 1983, without the
corrections of Florian 2007 ("Correct equations for the dynamics of the cart-pole system"); numbers are float32 here.

A task holds l, m, the cart's mass and F: each is its textbook value times exp(U[−v, v]), v the `variation`. One fixed
linear controller (push right if x/2 + ẋ/10 + 10 θ + θ̇ > 0) keeps the pole up in every task with v ≤ 1. That was found
by simulation, and is no proof: no fall in 10,000 steps from the 16 corners of the starts in the 625 tasks whose
logarithms are −1, −1/2, 0, 1/2 or 1, nor in 500 steps of a million random tasks; the pole never leaned more than 8.9°,
and the cart went no further than 0.64. So the horizon is at once the oracle and the optimum, and who does not know the
task loses nothing by that: the family asks for robust control and for quick learning, not for finding out. Beyond v = 1
there soon are tasks that nobody can balance, light carts that are pushed too hard, and the oracle is not known.
"""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from adaptax.core.errors import UseError
from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Box, Discrete
from adaptax.problems.settings import CartPoleSettings

GRAVITY, TIME_STEP = 9.8, 0.02
MAX_POSITION, MAX_ANGLE = 2.4, 12 * 2 * math.pi / 360
HALF_LENGTH, POLE_MASS, CART_MASS, FORCE = 0.5, 0.1, 1.0, 10.0
"""The textbook's task, in m, kg and N."""
BALANCED, BALANCED_STEPS = 1.0, 10_000
"""Largest logarithm of a factor, and most steps, for which a controller is known that always keeps the pole up."""


class CartPoleTask(eqx.Module):
    """A cart with its pole.

    Attributes:
        half_length: l, half of the pole's length.
        pole_mass: m.
        cart_mass: M − m.
        force: F, size of a push.
    """

    half_length: Float[Array, "*batch"]
    pole_mass: Float[Array, "*batch"]
    cart_mass: Float[Array, "*batch"]
    force: Float[Array, "*batch"]


class CartPole(Environment):
    """A pole on a cart. Actions: 0 push left, 1 push right. State and observation: (x, ẋ, θ, θ̇)."""

    observation_space: Box = eqx.field(static=True)
    action_space: Discrete = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, horizon: int):
        self.observation_space = Box((4,))
        self.action_space = Discrete(2)
        self.horizon = horizon
        self.ends_early = True

    def reset(self, task: CartPoleTask, key: Key[Array, ""]) -> tuple[Float[Array, "4"], Float[Array, "4"]]:
        """Begin near the upright rest in the middle."""
        state = jax.random.uniform(key, (4,), minval=-0.05, maxval=0.05)
        return state, state

    def step(self, state: Float[Array, "4"], action: Int[Array, ""], task: CartPoleTask, key: Key[Array, ""]) -> Step:
        """Push for one time step."""
        _, velocity, angle, spin = state
        total_mass = task.cart_mass + task.pole_mass
        lever = task.pole_mass * task.half_length
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        push = jnp.where(action == 1, task.force, -task.force)
        pull = (push + lever * spin**2 * sin) / total_mass
        inertia = task.half_length * (4 / 3 - task.pole_mass * cos**2 / total_mass)
        angle_acceleration = (GRAVITY * sin - cos * pull) / inertia
        acceleration = pull - lever * angle_acceleration * cos / total_mass
        derivative = jnp.stack([velocity, acceleration, spin, angle_acceleration])
        after = state + TIME_STEP * derivative
        terminated = (jnp.abs(after[0]) > MAX_POSITION) | (jnp.abs(after[2]) > MAX_ANGLE)
        return Step(after, after, jnp.ones(()), terminated)


class CartPoles(TaskDistribution):
    """Each quantity is its textbook value times exp(±z), with either sign alike and z ~ U[`low`, `high`].

    Attributes:
        low: Smallest z.
        high: Largest z; 0 for the textbook's task alone.
        horizon: Steps of an episode.
    """

    low: float = eqx.field(static=True)
    high: float = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True)

    def __init__(self, low: float, high: float, horizon: int, split: str):
        self.low = low
        self.high = high
        self.horizon = horizon
        self.split = split
        self.finite = 1 if high == 0 else None

    def draw(self, key: Key[Array, ""]) -> CartPoleTask:
        """Draw the four quantities, independently."""
        size_key, sign_key = jax.random.split(key)
        sizes = jax.random.uniform(size_key, (4,), minval=self.low, maxval=self.high)
        factors = jnp.exp(sizes * jax.random.rademacher(sign_key, (4,), jnp.float32))
        return CartPoleTask(
            HALF_LENGTH * factors[0], POLE_MASS * factors[1], CART_MASS * factors[2], FORCE * factors[3]
        )

    @property
    def balanced(self) -> bool:
        """Whether the pole is known to stay up in every task (see the module)."""
        return self.high <= BALANCED and self.horizon <= BALANCED_STEPS

    def oracle(self, task: CartPoleTask) -> Float[Array, ""]:
        """Never falling, where it is known that one need not; NaN elsewhere."""
        return jnp.asarray(self.horizon if self.balanced else math.nan, jnp.float32)


def cart_pole(
    num_episodes: int = CartPoleSettings.num_episodes,
    horizon: int = CartPoleSettings.horizon,
    variation: float = CartPoleSettings.variation,
) -> Problem:
    """Cart-pole balancing, CartPole-v1 by default; with `variation` a family of carts and poles around it.

    Args:
        num_episodes: Episodes in a trial.
        horizon: Steps of an episode.
        variation: v, largest logarithm of a factor; 0 for the textbook's task alone, which then is all there is to
            train and to test on.

    Raises:
        UseError: If `variation` is not between 0 and 1.
    """
    if not 0 <= variation <= 1:
        raise UseError(f"cart_pole(variation): expected a number between 0 and 1, got {variation!r}")
    family = CartPoles(0.0, variation, horizon, "train")
    shifted, shift = None, ""
    if variation > 0:
        shifted = CartPoles(variation, 2 * variation, horizon, "test")
        near, far = math.exp(variation), math.exp(2 * variation)
        shift = f"lengths, masses and force off by a factor of {near:.3g} to {far:.3g} each; by less in training"
    return make_problem(
        CartPole(horizon),
        lambda split: CartPoles(0.0, variation, horizon, split),
        num_episodes,
        (float(horizon),) * num_episodes if family.balanced else None,
        shifted,
        shift,
    )
