"""The two-step task (Daw et al. 2011, as in Wang et al. 2016, section 3.2.2; arXiv 1611.05763).

A round has two steps. In the first state (observation 0) each of two actions leads to its own second-stage
state (observation 1 or 2) with probability .8, to the other's with .2. There any action ends the round, with
reward 1 with probability .9 in the good state and .1 in the other. After each round the good state changes
with probability .025. Whether a learner repeats its first choice after a reward depends on the transition
(common or rare) if it reasons with a model of the task, and does not if it merely reinforces what was
rewarded.

Differences from the paper: what the paper calls a trial is a *round* here, and its episode of 100 trials is
one trial of one episode, since the good state must not be reset in between. The reversals belong to the task,
drawn with it and not by the environment: whoever knows the task knows them, which makes the oracle exact.
Tasks of different splits differ in every number of `draws`, though two of them may reverse at the same rounds
(with 100 rounds about one in twelve never reverses).
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from adaptax.core.errors import UseError
from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Discrete
from adaptax.problems.exact import two_step_bayes_value
from adaptax.problems.settings import TwoStepSettings

COMMON, REWARD_GOOD, REWARD_BAD, REVERSAL = 0.8, 0.9, 0.1, 0.025


class TwoStepTask(eqx.Module):
    """When the good state changes.

    Attributes:
        draws: Uniform numbers, one for each round. In the first round state 1 is good if `draws[0]` < 1/2; it
            changes before each later round t with `draws[t]` < .025.
    """

    draws: Float[Array, "*batch num_rounds"]

    def first_is_good(self, round_: Int[Array, ""]) -> Bool[Array, ""]:
        """Whether observation 1 is the good state in round `round_` (from 0)."""
        rounds = jnp.arange(self.draws.shape[-1])
        changes = jnp.sum((rounds >= 1) & (rounds <= round_) & (self.draws < REVERSAL))
        return (self.draws[0] < 0.5) ^ (changes % 2 == 1)


class TwoStepState(eqx.Module):
    """Where a round stands.

    Attributes:
        round: Rounds completed.
        stage: The observation: 0, or the second-stage state 1 or 2.
    """

    round: Int[Array, ""]
    stage: Int[Array, ""]


class TwoStep(Environment):
    """`num_rounds` rounds of two steps, as one episode.

    Attributes:
        num_rounds: Rounds of an episode.
    """

    num_rounds: int = eqx.field(static=True)
    observation_space: Discrete = eqx.field(static=True)
    action_space: Discrete = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, num_rounds: int):
        if num_rounds < 1:
            raise UseError(f"TwoStep(num_rounds): expected at least 1 round, got {num_rounds!r}")
        self.num_rounds = num_rounds
        self.observation_space = Discrete(3)
        self.action_space = Discrete(2)
        self.horizon = 2 * num_rounds
        self.ends_early = False

    def reset(self, task: TwoStepTask, key: Key[Array, ""]) -> tuple[TwoStepState, Int[Array, ""]]:
        """Begin the first round."""
        zero = jnp.asarray(0, jnp.int32)
        return TwoStepState(zero, zero), zero

    def step(self, state: TwoStepState, action: Int[Array, ""], task: TwoStepTask, key: Key[Array, ""]) -> Step:
        """Go to the second stage, or be rewarded and return to the first."""
        draw = jax.random.uniform(key)
        choosing = state.stage == 0
        reached = 1 + jnp.where(draw < COMMON, action, 1 - action).astype(jnp.int32)

        in_good_state = (state.stage == 1) == task.first_is_good(state.round)
        success = ~choosing & (draw < jnp.where(in_good_state, REWARD_GOOD, REWARD_BAD))

        stage = jnp.where(choosing, reached, 0)
        after = TwoStepState(jnp.where(choosing, state.round, state.round + 1), stage)
        return Step(after, stage, success.astype(jnp.float32), jnp.asarray(False))


class Reversals(TaskDistribution):
    """The good state changes with probability .025 from round to round.

    Attributes:
        num_rounds: Rounds of an episode.
    """

    num_rounds: int = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)

    def draw(self, key: Key[Array, ""]) -> TwoStepTask:
        """Draw the reversals."""
        return TwoStepTask(jax.random.uniform(key, (self.num_rounds,)))

    def oracle(self, task: TwoStepTask) -> Float[Array, ""]:
        """Always heading for the good state: .8 × .9 + .2 × .1 = .74 per round."""
        return jnp.asarray(self.num_rounds * (COMMON * REWARD_GOOD + (1 - COMMON) * REWARD_BAD), jnp.float32)


def two_step(
    num_rounds: int = TwoStepSettings.num_rounds,
) -> Problem:
    """Two-step task of Wang et al. 2016: one episode of `num_rounds` rounds, two steps each.

    The optimum is that of a learner that tracks the good state by Bayes' rule, 70.59 for 100 rounds.

    Args:
        num_rounds: Rounds in a trial.
    """
    optimum = two_step_bayes_value(
        num_rounds, common=COMMON, reward_good=REWARD_GOOD, reward_bad=REWARD_BAD, reversal=REVERSAL
    )
    return make_problem(TwoStep(num_rounds), lambda split: Reversals(num_rounds=num_rounds, split=split), 1, (optimum,))
