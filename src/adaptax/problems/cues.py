"""A test of memory: what an episode shows at its end is what the next one asks for at its beginning.

An episode has two steps. First nothing is shown, and the action is an answer: reward 1 if it is the task's
cue. Then the cue is shown, and the only action without a penalty is 0. The cue stays the same for the whole
trial and is drawn anew for the next.

- An agent that remembers over the episodes of a trial answers by chance, 1 / `num_cues`, in the first
  episode, and rightly in every later one. That is the exact optimum.
- An agent whose memory is reset between episodes answers by chance in each. Nothing that carries over can
  help it: the last reward of an episode does not depend on the cue, and the last action, with which it could
  leave itself a note, costs `PENALTY` = 2 unless it is 0. Noting m of the k cues costs 2 m / k and saves one
  answer in m / k of the cases, so it loses; an agent that notes nothing has exactly 1 / k per episode.
- An agent that keeps its memory for the next trial gains nothing, since cues are independent.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from adaptax.core.errors import UseError
from adaptax.core.problem import Environment, Problem, Step, TaskDistribution, make_problem
from adaptax.core.spaces import Discrete
from adaptax.problems.settings import CueSettings

PENALTY = 2.0


class CueTask(eqx.Module):
    """What to remember.

    Attributes:
        cue: The right answer.
    """

    cue: Int[Array, "*batch"]


class Cue(Environment):
    """Answer, then see what the answer should have been.

    Attributes:
        num_cues: k. Observations 0, …, k − 1 are cues; k is "nothing to see".
    """

    num_cues: int = eqx.field(static=True)
    observation_space: Discrete = eqx.field(static=True)
    action_space: Discrete = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    ends_early: bool = eqx.field(static=True)

    def __init__(self, num_cues: int):
        if num_cues < 2:
            raise UseError(f"Cue(num_cues): expected at least 2 cues, got {num_cues!r}")
        self.num_cues = num_cues
        self.observation_space = Discrete(num_cues + 1)
        self.action_space = Discrete(num_cues)
        self.horizon = 2
        self.ends_early = False

    def reset(self, task: CueTask, key: Key[Array, ""]) -> tuple[Bool[Array, ""], Int[Array, ""]]:
        """Show nothing. The state is whether the answer was given."""
        return jnp.asarray(False), jnp.asarray(self.num_cues, jnp.int32)

    def step(self, state: Bool[Array, ""], action: Int[Array, ""], task: CueTask, key: Key[Array, ""]) -> Step:
        """Take the answer and show the cue, or take note of the cue."""
        answer_reward = (action == task.cue).astype(jnp.float32)
        note_reward = jnp.where(action == 0, 0.0, -PENALTY)
        observation = jnp.where(state, self.num_cues, task.cue)
        return Step(jnp.asarray(True), observation, jnp.where(state, note_reward, answer_reward), state)


class UniformCues(TaskDistribution):
    """Every cue with the same chance.

    Attributes:
        num_cues: k.
    """

    num_cues: int = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True)

    def __init__(self, num_cues: int, split: str):
        self.num_cues = num_cues
        self.split = split
        self.finite = num_cues

    def draw(self, key: Key[Array, ""]) -> CueTask:
        """Draw the cue."""
        return CueTask(jax.random.randint(key, (), 0, self.num_cues))

    def oracle(self, task: CueTask) -> Float[Array, ""]:
        """The right answer, and no note."""
        return jnp.ones(())


def cue(
    num_cues: int = CueSettings.num_cues,
    num_episodes: int = CueSettings.num_episodes,
) -> Problem:
    """Remember the cue of the first episode in the later ones: optimum 1 / `num_cues`, then 1 per episode.

    Args:
        num_cues: k, number of cues and of answers.
        num_episodes: Episodes in a trial.
    """
    optimum = (1 / num_cues,) + (1.0,) * (num_episodes - 1)
    return make_problem(Cue(num_cues), lambda split: UniformCues(num_cues, split), num_episodes, optimum)
