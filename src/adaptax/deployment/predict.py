"""Acting as a function: everything that a session knows comes in and goes out, and the agent stays as it is."""

from typing import Any

import jax
import numpy as np

from adaptax.core.arguments import flag, in_words
from adaptax.core.composite_spaces import Dict
from adaptax.core.errors import UseError
from adaptax.core.spaces import Space
from adaptax.deployment import checks
from adaptax.deployment.batch import Batch
from adaptax.deployment.programs import Leaves
from adaptax.deployment.sessions import LANES
from adaptax.deployment.state import State


def predict(
    batch: Batch,
    observation: Any,
    state: State | None,
    episode_start: Any,
    deterministic: bool,
    reward: Any,
    *,
    seed: int,
    draw: int,
) -> tuple[np.ndarray, State | None]:
    """What `Agent.predict` does.

    Args:
        batch: The agent's session, of which is used what it has adapted.
        observation: One, or `[env, ...]`.
        state: What the last call returned.
        episode_start: Where an episode begins.
        deterministic: Whether to act by the best action known.
        reward: What the last actions brought.
        seed: Decides randomness: that of the k-th environment is of `seed` + k.
        draw: Number of the task that an environment without a state is in: another number is another randomness.

    Raises:
        UseError: if something is none of what it should be.
        DivergenceError: if an action would be none.
    """
    programs = batch.programs
    explore = not flag("predict(deterministic)", deterministic)
    space = programs.env.observation_space
    num, single = _number(space, observation)
    observation = [observation] if single else observation
    seen = checks.all_of(checks.observations("predict(observation)", space, observation, num))
    remembers = bool(batch.state.memory[0])
    mine = Batch(programs, num, 1 if single else LANES, seed, learns=False)
    if state is None:
        mine.state = mine.state._replace(tasks=np.full_like(mine.state.tasks, draw))
        mine.begin(np.arange(num))
    else:
        mine.state = _checked(mine.state, state, num)
        mine.state = _heard(mine.state, reward, remembers, num, single)
    if programs.window is not None:
        adapted = _spread(batch.state.adapted[0], mine.lanes)
        mine.state = mine.state._replace(adapted=(adapted,) * len(mine.state.adapted))
    if episode_start is not None:
        first = np.zeros_like(mine.state.first)
        starts = episode_start[0] if single and np.shape(episode_start) == (1,) else episode_start
        first[:num] = checks.flags("predict(episode_start)", starts, num)
        mine.state = mine.state._replace(first=first)
    actions = mine.act(np.arange(num), seen, {}, explore)
    after = mine.state._replace(waiting=np.zeros_like(mine.state.waiting), undo=(None,) * num)
    after = after._replace(first=np.zeros_like(after.first))
    return (actions[0] if single else actions), after if remembers else None


def _number(space: Space, observation: Any) -> tuple[int, bool]:
    """How many observations there are, and whether it is one by itself."""
    if isinstance(space, Dict) and isinstance(observation, dict):
        part: Any = next(iter(observation.values()), None)
        name = next(iter(observation), "")
        shape = dict(space.parts)[name].shape if name in dict(space.parts) else ()
        single = np.ndim(part) == len(shape)
        return (1, True) if single else (len(part), False)  # type: ignore[arg-type]
    try:
        found = np.shape(observation)
    except Exception:  # ragged lists, and whatever an object of somebody else's raises
        return 1, True
    if len(found) == len(space.shape) + 1 and found[0]:
        return found[0], False
    return 1, True


def _checked(like: State, state: Any, num: int) -> State:
    """The state that the last call returned.

    Raises:
        UseError: if it is none, or of another number of environments.
    """

    def form(state: State) -> Any:
        return jax.tree.structure(state), [(np.shape(x), x.dtype) for x in jax.tree.leaves(state)]

    if not isinstance(state, State) or form(state) != form(like):
        found = "that of other environments" if isinstance(state, State) else in_words(state)
        raise UseError(
            f"predict(state): expected what the last predict() of {num} environments returned, found {found}. "
            f"{checks.UNCHANGED}; pass state=None to enter new tasks"
        )
    return state


def _heard(state: State, reward: Any, remembers: bool, num: int, single: bool) -> State:
    """The state with what the last actions brought, which an agent that remembers has to hear."""
    if reward is None:
        if remembers:
            raise UseError(
                "predict(reward): expected what the last action brought, found nothing (None). "
                f"{checks.UNCHANGED}; this agent learns from rewards as it acts: pass reward= beside state="
            )
        return state
    rewards = [reward] if single and np.shape(reward) == () else reward
    heard = state.reward.copy()
    heard[:num] = checks.all_of(checks.rewards("predict(reward)", rewards, num))
    return state._replace(reward=heard)


def _spread(row: Leaves, lanes: int) -> Leaves:
    """What one session has adapted, for several."""
    return row if lanes == 1 else _SPREAD(row, lanes)


_SPREAD: Any = jax.jit(
    lambda row, lanes: [jax.numpy.broadcast_to(x, (lanes, *x.shape[1:])) for x in row], static_argnums=1
)
