"""Trap E41: what an agent in use cannot use is refused in one line, and the agent is as if nobody had asked."""

import copy
import dataclasses
import re
from decimal import Decimal
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms import DQN, MAML, PPO, RL2, MetaPolicyGradient, QLearning, ThompsonSampling
from adaptax.core.composite_spaces import ActionMask, Dict
from adaptax.core.errors import AdaptaxError, CheckpointError, DivergenceError, UseError
from adaptax.core.spaces import Box, Discrete, MultiDiscrete
from adaptax.core.step_checks import HUGE
from adaptax.core.trained_agent import TrainedAgent
from adaptax.core.types import key_data
from adaptax.deployment import checks
from adaptax.deployment.agent import Agent
from adaptax.problems import bernoulli_bandit, cart_pole, point_robot, tabular_mdp
from adaptax.runs import checkpoints
from tests.claims.tiny_run import UPDATES, TinyRun

_RL2 = RL2(memory_size=3, critic_size=3, num_tasks=4, num_minibatches=2)
_MDP = {"num_states": 3, "num_actions": 2, "horizon": 3, "num_episodes": 4}
KINDS = {
    "rl2, discrete": lambda: (dataclasses.replace(_RL2, memory="gru"), tabular_mdp(**_MDP)),
    "rl2, box": lambda: (_RL2, point_robot(num_episodes=2, horizon=4)),
    "rl2, nothing to see": lambda: (_RL2, bernoulli_bandit(num_arms=2, num_pulls=5)),
    "maml": lambda: (MAML(hidden_size=3, num_tasks=2, trajectories=2), point_robot(num_episodes=6, horizon=4)),
    "meta-policy-gradient": lambda: (
        MetaPolicyGradient(memory_size=3, num_tasks=3, replicas=2, num_epochs=2),
        tabular_mdp(**_MDP),
    ),
    "q-learning": lambda: (QLearning(), tabular_mdp(**_MDP)),
    "ppo": lambda: (PPO(hidden_size=3, streams=1, num_minibatches=2, num_epochs=1), cart_pole(4, horizon=4)),
    "thompson": lambda: (ThompsonSampling(), bernoulli_bandit(num_arms=2, num_pulls=5)),
}


class Hostile:
    """Cannot be made an array, or a number, or a word."""

    def __array__(self, *_, **__):
        raise RuntimeError("two\nlines")

    def __index__(self):
        raise RuntimeError("two\nlines")

    __float__ = __bool__ = __repr__ = __index__


def self_containing():
    nested = []
    nested.append(nested)
    return nested


NO_NUMBERS = {
    "None": None,
    "word": "1.0",
    "bytes": b"1",
    "tuple": (0.0, {}),
    "dict": {"observation": 0.0},
    "set": {0.0},
    "object": object(),
    "class": float,
    "hostile": Hostile(),
    "itself": self_containing(),
    "iterator": iter([0.0]),
    "ragged": [[0.0], [0.0, 1.0]],
    "ragged in depth": [0.0, [1.0]],
    "object array": np.array([None, 1.0]),
    "object number": np.array(1.0, object),
    "words": np.array(["a", "b"]),
    "complex": 1j,
    "complex array": np.zeros(2, complex),
    "date": np.datetime64("2026-01-01"),
    "record": np.zeros((), [("x", float)]),
    "decimal": Decimal(1),
    "fraction": Fraction(1, 2),
    "huge integer": 10**400,
    "key": jax.random.key(0),
}
"""Neither observations nor rewards."""
WRONG_FLAGS = (1, 0.0, "yes", [], np.ones(2, bool), np.array(True), Hostile())


def wrong_observations(space):
    """What is not in a space, by name."""
    found = dict(NO_NUMBERS)
    if isinstance(space, Discrete):
        found |= {"float": 0.0, "yes": True, "float array": np.float32(1), "vector": [0], "long": np.zeros(3, int)}
        found |= {"-1": -1, "one too many": space.num, "2^32": 2**32, "2^64": np.uint64(2**64 - 1), "nan": np.nan}
        return found
    shape = space.shape
    found |= {f"shape {s}": np.zeros(s) for s in ((), (7,), (*shape, 1), (1, *shape), (3, 0, 1)) if s != shape}
    if np.prod(shape):
        bad = np.zeros(shape)
        for number in (np.nan, np.inf, -np.inf, 1e300, -1e39, HUGE):
            bad.flat[-1] = number
            found |= {f"{number} in float64": bad.copy(), f"{number} in a list": bad.tolist()}
        found["a NaN of JAX"] = jnp.full(shape, jnp.nan)
        found["tuple of numbers"] = tuple(np.zeros(shape))
    return found


def wrong_calls(agent, seen):
    """Calls that are to be refused: before an action, and after one, by name."""
    space = agent._env.observation_space
    before = {f"act {name}": lambda x=x: agent.act(x) for name, x in wrong_observations(space).items()}
    before |= {f"explore {i}": lambda x=x: agent.act(seen, explore=x) for i, x in enumerate(WRONG_FLAGS)}
    before["observe first"] = lambda: agent.observe(1.0)
    after = {
        f"reward {name}": lambda x=x: agent.observe(x)
        for name, x in (NO_NUMBERS | dict(nan=np.nan, inf=-np.inf, large=1e300, huge=-HUGE, vector=[1.0])).items()
    }
    for name in ("episode_over", "terminated"):
        after |= {f"{name} {i}": lambda n=name, x=x: agent.observe(1.0, **{n: x}) for i, x in enumerate(WRONG_FLAGS)}
    after |= {
        f"seen {name}": lambda x=x: agent.observe(1.0, observation=x)
        for name, x in wrong_observations(space).items()
        if x is not None
    }
    after["terminated alone"] = lambda: agent.observe(1.0, terminated=True)
    after["act twice"] = lambda: agent.act(seen)
    return before, after


def known(agent):
    """All of an agent that decides its future, bit by bit."""
    state = agent._batch.state
    leaves = [key_data(x) if hasattr(x, "dtype") else x for x in jax.tree.leaves(state)]
    return [np.asarray(x).tobytes() if hasattr(x, "dtype") else x for x in leaves], jax.tree.structure(state)


def assert_refused(agent, calls, error=UseError):
    """Each is refused in one line that says what was expected and what it was, and nothing has changed."""
    was = known(agent)
    for name, call in calls.items():
        with pytest.raises(error) as caught:
            call()
        said = str(caught.value)
        assert re.search(r"^(act|observe).*expected .*found .*(as it was|nothing was done).*", said), (name, said)
        assert "\n" not in said and len(said) < 400, (name, said)  # noqa: PT018
        assert known(agent) == was, name


@pytest.fixture(params=KINDS, scope="module")
def twins(request):
    trained = TrainedAgent.initial(*KINDS[request.param]())
    return Agent(trained, seed=3), Agent(trained, seed=3)


def observations(space):
    rng = np.random.default_rng(1)
    while True:
        yield int(rng.integers(space.num)) if isinstance(space, Discrete) else rng.normal(size=space.shape)


@pytest.mark.compiles
def test_E41_what_an_agent_cannot_use_is_refused_and_leaves_no_trace(twins):
    agent, undisturbed = twins
    env = agent._env
    seen = observations(env.observation_space)
    for step in range(1, env.horizon * 3 + 1):
        now, over = next(seen), step % env.horizon == 0
        before, after = wrong_calls(agent, now)
        assert len(before) + len(after) >= 60
        assert_refused(agent, before)
        action = agent.act(now)
        assert action.tobytes() == undisturbed.act(now).tobytes()
        assert bool(env.action_space.contains(jnp.asarray(action)))
        assert_refused(agent, after)
        told = {"episode_over": over, "observation": next(seen) if over else None}
        for one in (agent, undisturbed):
            one.observe(float(step % 2), **told)
        assert_refused(agent, {"end twice": lambda told=told: agent.observe(1.0, **told)})
    assert known(agent) == known(undisturbed)


@pytest.mark.compiles
def test_E41_where_a_safe_action_was_chosen_it_is_done_instead_and_leaves_no_trace(twins):
    agent, undisturbed = (copy.deepcopy(one) for one in twins)
    space, env = agent._env.action_space, agent._env
    agent._batch.safe = safe = np.asarray(space.sample(jax.random.key(9)))
    agent.begin()
    undisturbed.begin()
    seen = observations(env.observation_space)
    for step in range(1, env.horizon * 2 + 1):
        now, over = next(seen), step % env.horizon == 0
        wrong = wrong_observations(env.observation_space)
        for name, x in wrong.items():
            was = known(agent)
            assert agent.act(x).tobytes() == safe.tobytes(), name
            assert agent.refused.startswith("act(observation): expected "), name
            agent._batch.state = agent._batch.state._replace(excused=np.array([False]))  # whose action it was
            assert known(agent) == was, name
        assert agent.act(now).tobytes() == undisturbed.act(now).tobytes()
        told = {"episode_over": over, "observation": next(seen) if over else None}
        for one in (agent, undisturbed):
            one.observe(float(step % 2), **told)
    assert known(agent) == known(undisturbed)


def test_E41_what_a_safe_action_brings_is_not_learned_from():
    agent = Agent(TrainedAgent.initial(QLearning(), tabular_mdp(**_MDP)), safe_action=1)
    agent.act(0)
    agent.observe(1.0)
    assert agent.act(None) == 1
    agent.observe(5.0)
    agent.act(2)  # where the step before the gap led, nobody has seen
    agent.observe(1.0, episode_over=True, observation=0)
    assert agent.adaptations == 1
    assert agent._batch.state.reward[0] == 1.0
    assert agent.act(np.nan) == 1
    agent.observe(0.0, episode_over=True)
    with pytest.raises(UseError, match="expected an act"):
        agent.observe(0.0)
    with pytest.raises(UseError, match=r"^observe\(reward\)"):
        agent.observe(np.nan)


def test_E41_an_action_that_would_be_none_is_the_safe_one_in_its_session_alone():
    sessions = Agent(TrainedAgent.initial(Faulty(), tabular_mdp(**_MDP)), safe_action=0).sessions(4)
    assert sessions.act([0, 0, 3, 0]).tolist() == [1, 1, 0, 1]
    assert "expected an integer from 0 to 2, found 3" in sessions.refused
    sessions.observe([0.5, 1.0, 9.0, 3.0])
    assert sessions.steps.tolist() == [1, 1, 0, 1]
    assert sessions.act([1, 1, 1, 1]).tolist() == [1, 0, 1, 0]
    assert sessions.steps.tolist() == [2, 1, 1, 1]
    clock = np.concatenate([np.asarray(x) for x in sessions._batch.state.memory[0][-1:]])
    assert np.isfinite(clock).all()


@pytest.mark.parametrize("wrong", [2, -1, 0.5, "left", [0], np.nan, Hostile(), True])
def test_E41_a_safe_action_is_one_of_the_space(wrong):
    with pytest.raises(UseError, match=r"^Agent\(safe_action\): expected an integer from 0 to 1, found"):
        Agent(TrainedAgent.initial(QLearning(), tabular_mdp(**_MDP)), safe_action=wrong)


@pytest.mark.parametrize(
    ("space", "does", "seen", "refused"),
    [
        (ActionMask(3), Discrete(3), [[1, 0, 0], [0, 0, 0], [0, 1, 1]], [1]),
        (ActionMask(4), MultiDiscrete((2, 2)), [[1, 0, 0, 1], [1, 1, 0, 0], [0, 0, 1, 1]], [1, 2]),
        (Dict({"a": Box((2,)), "m": ActionMask(2)}), Discrete(2), [[0, 0, 0, 0], [0, 0, 0, 1]], [0]),
        (Dict({"z": Dict({"m": ActionMask(2)}), "a": Discrete(2)}), Discrete(2), [[1, 0, 0, 0], [0, 0, 1, 0]], [0]),
        (Box((3,)), Discrete(3), [[0, 0, 0]], []),
    ],
)
def test_E41_a_mask_that_allows_nothing_is_refused(space, does, seen, refused):
    found = checks.legal("act(observation)", space, does, np.float32(seen))
    assert list(found) == refused
    for error in found.values():
        assert re.search(r"^act\(observation\): expected a mask that allows an action, found .* as it was", str(error))


@dataclasses.dataclass(frozen=True)
class Faulty(QLearning):
    """Puts out a number, remembers one, and learns one: in each case the last reward, which finite ones all are."""

    def begin(self, meta, key):
        agent = super().begin(meta, key)
        return dataclasses.replace(agent, memory=(agent.memory, jnp.zeros(())))

    def act(self, meta, agent, timestep, key, *, explore):
        clock, number = agent.memory
        agent = dataclasses.replace(agent, memory=clock)
        _, clock, aux = super().act(meta, agent, timestep, key, explore=explore)
        action = jnp.where(timestep.reward == 1.0, -1, jnp.where(timestep.reward == 2.0, 2, 1))
        return action.astype(jnp.int32), (clock, jnp.where(timestep.reward == 3.0, jnp.nan, number)), aux

    def adapt(self, meta, agent, trajectory, key):
        poison = jnp.where(trajectory.reward[0, 0] == 4.0, jnp.inf, 0.0)
        adapted = dataclasses.replace(agent.adapted, quality=agent.adapted.quality + poison)
        return dataclasses.replace(agent, adapted=adapted)


@pytest.fixture(scope="module")
def faulty():
    return Agent(TrainedAgent.initial(Faulty(), tabular_mdp(**_MDP)))


@pytest.mark.parametrize(("reward", "said"), [(1.0, "-1"), (2.0, "2"), (3.0, "NaN or infinite")])
def test_E41_an_action_that_is_none_does_not_leave(faulty, reward, said):
    faulty.begin()
    faulty.act(0)
    faulty.observe(reward)
    was = known(faulty)
    for _ in range(2):
        with pytest.raises(DivergenceError, match=rf"^act\(\): .*{said}.*expected .*\. The agent is as it was"):
            faulty.act(1)
        assert known(faulty) == was
    faulty.begin()
    assert faulty.act(0) == 1


def test_E41_what_would_be_learned_for_good_is_not_if_it_is_infinite(faulty):
    faulty.begin()
    faulty.act(0)
    was = known(faulty)
    with pytest.raises(DivergenceError, match=r"^observe\(\): what Faulty learned"):
        faulty.observe(4.0, observation=1)
    assert known(faulty) == was
    faulty.observe(4.0)  # where it led, the next call tells
    was = known(faulty)
    with pytest.raises(DivergenceError, match=r"^act\(\): what Faulty learned"):
        faulty.act(1)
    assert known(faulty) == was


@pytest.mark.parametrize("reward", [-1.0, 2.0])
def test_E41_a_posterior_that_cannot_be_ends_in_an_error_and_not_in_an_endless_loop(reward):
    agent = Agent(TrainedAgent.initial(*KINDS["thompson"]()))
    agent.act([])
    agent.observe(reward, episode_over=True)  # finite, but a Bernoulli arm pays 0 or 1
    with pytest.raises(DivergenceError, match=r"ThompsonSampling put out -1, expected an integer from 0 to 1"):
        agent.act([])


@dataclasses.dataclass(frozen=True)
class Straight(MAML):
    """Goes where it sees itself."""

    def act(self, meta, agent, timestep, key, *, explore):
        _, memory, aux = super().act(meta, agent, timestep, key, explore=explore)
        return jnp.where(timestep.observation == 7.0, jnp.nan, timestep.observation), memory, aux


def test_E41_an_action_beyond_the_bounds_is_clipped_as_it_leaves_and_learned_from_as_it_was_chosen():
    problem = point_robot(num_episodes=6, horizon=4)
    agent = Agent(TrainedAgent.initial(Straight(hidden_size=3, num_tasks=2, trajectories=2), problem))
    bound = np.float32(problem.env.action_space.high)
    np.testing.assert_array_equal(agent.act([5.0, bound / 2]), np.array([bound, bound / 2]))
    np.testing.assert_array_equal(agent._batch.state.action[0], np.array([bound, bound / 2], np.float32))
    np.testing.assert_array_equal(agent._batch.state.notes[0].acted[1], np.array([5.0, bound / 2], np.float32))
    agent.observe(0.0)
    with pytest.raises(DivergenceError, match=r"^act\(\): Straight put out nan at index \[1\], expected finite"):
        agent.act([0.0, 7.0])


def test_E41_what_is_seen_is_kept_as_it_was_seen():
    agent = Agent(TrainedAgent.initial(MAML(hidden_size=3, num_tasks=2, trajectories=2), point_robot(6, horizon=4)))
    seen = np.ones(2, np.float32)
    agent.act(seen)
    seen[:] = 2.0  # environments that write into one array
    agent.observe(0.0, observation=seen)
    seen[:] = 3.0
    assert agent._batch.state.notes[0].episode[0].timestep.observation.tolist() == [1.0, 1.0]
    assert agent._batch.state.notes[0].episode[0].next_observation.tolist() == [2.0, 2.0]


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_E41_parameters_that_are_not_finite_make_no_agent(number):
    trained = TrainedAgent.initial(*KINDS["rl2, nothing to see"]())
    leaves, structure = jax.tree.flatten(trained.meta)
    leaves[0] = leaves[0].at[0, 0].set(number)
    with pytest.raises(DivergenceError, match=r"^Agent\(trained\): leaf \.network\S* of θ is NaN or infinite"):
        Agent(dataclasses.replace(trained, meta=jax.tree.unflatten(structure, leaves)))


def test_E41_a_checkpoint_that_is_not_finite_is_not_loaded(tmp_path):
    run = TinyRun(tmp_path, 0)
    run.restore()
    leaves, structure = jax.tree.flatten(run.states[UPDATES[-1]])
    leaves[0] = jnp.full_like(leaves[0], jnp.nan)
    checkpoints.save(tmp_path, jax.tree.unflatten(structure, leaves), update=UPDATES[-1] + 1, about=run.about)
    with pytest.raises(CheckpointError, match=r"expected finite numbers in checkpoint 31, found .* leaf \.network"):
        Agent.load(tmp_path)
    with pytest.raises(UseError, match=r"^load_agent\(checkpoint\): expected one of auto, last, best, found 'newest'"):
        Agent.load(tmp_path, checkpoint="newest")


@pytest.mark.parametrize("seed", [None, -1, 2**32, 1.0, True, "1", [0], np.zeros(2, int), Hostile()])
def test_a_seed_that_is_none_is_refused(seed):
    trained = TrainedAgent.initial(ThompsonSampling(), bernoulli_bandit(num_arms=2, num_pulls=5))
    with pytest.raises(UseError, match=r"^Agent\(seed\): expected an integer, 0 to 4294967295, found .*"):
        Agent(trained, seed=seed)


@pytest.mark.parametrize("trained", [None, "runs/rl2-bandit-1", TrainedAgent, RL2()])
def test_what_is_no_agent_is_refused(trained):
    with pytest.raises(UseError, match=r"^Agent\(trained\): expected a TrainedAgent, found .*Agent.load"):
        Agent(trained)


@pytest.mark.parametrize(
    ("episodes", "horizon", "trajectories", "fitting"), [(5, 4, 2, 2), (1, 4, 3, 3), (7, 1, 7 * 3, 21)]
)
def test_E41_an_agent_whose_windows_do_not_fill_a_trial_is_refused(episodes, horizon, trajectories, fitting):
    def agent(num_episodes):
        maml = MAML(hidden_size=3, num_tasks=2, trajectories=trajectories)
        return TrainedAgent.initial(maml, point_robot(num_episodes=num_episodes, horizon=horizon))

    with pytest.raises(UseError) as refused:
        Agent(agent(episodes))
    assert str(refused.value) == (
        f"MAML.window: expected windows that divide a trial, which has {episodes} episodes × {horizon} steps; found "
        f"{trajectories} environments × {horizon} steps. Choose a multiple of {fitting} episodes"
    )
    assert "MAML" in repr(Agent(agent(fitting)))


@pytest.mark.parametrize(
    "make",
    [
        lambda: TrainedAgent.initial(QLearning(), cart_pole(4, horizon=4)),
        lambda: TrainedAgent.initial(DQN(), point_robot(num_episodes=2, horizon=4)),
        lambda: TrainedAgent.initial(ThompsonSampling(), point_robot(num_episodes=2, horizon=4)),
        lambda: TrainedAgent.initial(
            dataclasses.replace(_RL2, memory="symmetric"), point_robot(num_episodes=2, horizon=4)
        ),
        lambda: TrainedAgent.initial(QLearning(), tabular_mdp(**_MDP), num_seeds=2).of_seed(2),
        lambda: bernoulli_bandit(num_arms=2, num_pulls=0),
        lambda: bernoulli_bandit(num_arms=0, num_pulls=5),
        lambda: cart_pole(4, horizon=4, variation=2.0),
        lambda: Box((2,), 1.0, -1.0),
    ],
)
def test_E41_what_does_not_go_together_is_refused_by_an_error_of_the_house(make):
    with pytest.raises(UseError, match=r"expected .*(found|got)") as refused:
        make()
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("directory", [None, 3, ["runs"]])
def test_what_is_no_directory_is_refused(directory):
    with pytest.raises(UseError, match=r"^Agent.load\(directory\): expected a path, found"):
        Agent.load(directory)


def test_an_agent_says_what_it_is_and_has_done():
    agent = Agent(TrainedAgent.initial(QLearning(), tabular_mdp(**_MDP)))
    agent.begin()
    for _ in range(2):
        agent.act(0)
        agent.observe(1.0)
    assert repr(agent) == (
        "Agent(QLearning on TabularMDP: sees Discrete(num=3), does Discrete(num=2); task 2: 2 steps, 1 adaptation)"
    )


def test_E41_errors_are_those_of_the_house():
    assert issubclass(UseError, AdaptaxError)
    assert issubclass(UseError, ValueError)  # which it was
