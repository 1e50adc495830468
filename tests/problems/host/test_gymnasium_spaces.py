"""What learners see of Gymnasium's spaces, and what environments are given of their actions."""

import gymnasium
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium import spaces

from adaptax.core.composite_spaces import ActionMask, Dict, Image
from adaptax.core.errors import UseError
from adaptax.core.spaces import Box, Discrete, MultiDiscrete
from adaptax.deployment.agent import Agent
from adaptax.experiment.training import train
from adaptax.problems.host.environment import space_of
from adaptax.problems.host.gymnasium_problems import gymnasium_problem
from adaptax.problems.host.gymnasium_spaces import MaskShown, chosen, done, observed, seen
from adaptax.registry.registry import forget
from adaptax.registry.resolve import register_problem

OBSERVED = {
    "numbers": (spaces.Box(-3.4e38, 3.4e38, (2, 3), np.float64), Box((2, 3))),
    "categories": (spaces.Discrete(4, start=2), Discrete(4)),
    "several categories": (spaces.MultiDiscrete([2, 3], start=[1, 5]), MultiDiscrete((2, 3))),
    "a table of categories": (spaces.MultiDiscrete([[2, 3], [4, 5]]), MultiDiscrete((2, 3, 4, 5))),
    "switches": (spaces.MultiBinary(3), MultiDiscrete((2, 2, 2))),
    "a dictionary": (
        spaces.Dict({"place": spaces.Box(-1, 1, (2,)), "kind": spaces.Discrete(3)}),
        Dict({"kind": Discrete(3), "place": Box((2,))}),
    ),
    "a tuple in a dictionary": (
        spaces.Dict({"both": spaces.Tuple([spaces.Discrete(2), spaces.Box(0, 1, (1,))]), "a": spaces.MultiBinary(2)}),
        Dict({"a": MultiDiscrete((2, 2)), "both.0": Discrete(2), "both.1": Box((1,))}),
    ),
    "a mask": (
        spaces.Dict({"action_mask": spaces.MultiBinary(6), "seen": spaces.Discrete(2)}),
        Dict({"action_mask": ActionMask(6), "seen": Discrete(2)}),
    ),
    "a mask of numbers": (
        spaces.Dict({"action_mask": spaces.Box(0, 1, (6,), np.int8), "seen": spaces.Box(0, 1, (1,))}),
        Dict({"action_mask": ActionMask(6), "seen": Box((1,))}),
    ),
    "a mask of something else": (
        spaces.Dict({"action_mask": spaces.MultiBinary(5), "seen": spaces.Discrete(2)}),
        Dict({"action_mask": Box((5,)), "seen": Discrete(2)}),
    ),
    "an image": (spaces.Box(0, 255, (4, 4, 3), np.uint8), Image((4, 4, 3))),
    "an image in a tuple": (
        spaces.Tuple([spaces.Box(0, 255, (2, 2, 1), np.uint8), spaces.Box(-1, 1, (1,))]),
        Dict({"0": Image((2, 2, 1)), "1": Box((1,))}),
    ),
}


@pytest.mark.parametrize(("space", "expected"), OBSERVED.values(), ids=OBSERVED)
def test_observations_are_of_the_space_that_stands_for_theirs(space, expected):
    assert space_of(observed(space, 6)) == expected
    space.seed(0)
    for _ in range(10):
        found = seen(space, space.sample())
        assert found.shape == expected.shape
        assert found.dtype == np.dtype(expected.dtype)
        assert bool(expected.contains(jnp.asarray(found)))


def test_parts_stand_where_the_space_has_them():
    space, expected = OBSERVED["a tuple in a dictionary"]
    observation = {"both": (1, np.asarray([0.5], np.float32)), "a": np.asarray([0, 1], np.int8)}
    wanted = expected.flatten({name: jnp.asarray(x) for name, x in (("a", [0, 1]), ("both.0", 1), ("both.1", [0.5]))})
    np.testing.assert_array_equal(seen(space, observation), wanted)
    np.testing.assert_array_equal(wanted, [1, 0, 0, 1, 0, 1, 0.5])


ACTIONS = {
    "categories": (spaces.Discrete(3, start=-1), Discrete(3), [(0, -1), (2, 1)]),
    "numbers": (spaces.Box(-2, 2, (2,)), Box((2,), -2.0, 2.0), [([0.5, -3], [0.5, -2])]),
    "numbers without bounds": (spaces.Box(-np.inf, np.inf, (1,)), Box((1,)), [([50.0], [50.0])]),
    "bounds that differ": (
        spaces.Box(np.asarray([0, -4], np.float32), np.asarray([10, 4], np.float32)),
        Box((2,), [0, -4], [10, 4]),
        [([-1, -5], [0, -4]), ([5, 0], [5, 0]), ([1, 9], [1, 4])],
    ),
    "a bound here and there": (
        spaces.Box(np.asarray([0, -np.inf], np.float32), np.asarray([1, np.inf], np.float32)),
        Box((2,), [0, -np.inf], [1, np.inf]),
        [([3, 3], [1, 3])],
    ),
    "several categories": (spaces.MultiDiscrete([2, 3]), MultiDiscrete((2, 3)), [([0, 0], [0, 0]), ([1, 2], [1, 2])]),
    "that begin elsewhere": (spaces.MultiDiscrete([2, 3], start=[5, 7]), MultiDiscrete((2, 3)), [([1, 2], [6, 9])]),
    "a table": (spaces.MultiDiscrete([[2], [3]]), MultiDiscrete((2, 3)), [([1, 2], [[1], [2]])]),
    "switches": (spaces.MultiBinary(20), MultiDiscrete((2,) * 20), [([0, 1] * 10, [0, 1] * 10)]),
}


@pytest.mark.parametrize(("space", "expected", "pairs"), ACTIONS.values(), ids=ACTIONS)
def test_actions_lie_in_the_environments_space(space, expected, pairs):
    assert space_of(chosen(space)) == expected
    given = np.asarray([action for action, _ in pairs], expected.dtype)
    for found, (_, wanted) in zip(done(space, given), pairs, strict=True):
        assert np.asarray(found).tolist() == wanted
        assert space.contains(found)


def test_spaces_that_nobody_can_learn_in_are_refused():
    with pytest.raises(UseError, match="observation space"):
        observed(spaces.Sequence(spaces.Discrete(2)))
    with pytest.raises(UseError, match="found Dict"):
        chosen(spaces.Dict({"a": spaces.Discrete(2)}))


@pytest.mark.parametrize(
    ("space", "observation"),
    [
        (spaces.Box(-1, 1, (2,)), np.zeros(3)),
        (spaces.Box(-1, 1, (2,)), None),
        (spaces.Discrete(3), 3),
        (spaces.MultiDiscrete([2, 3]), np.asarray([2, 0])),
        (spaces.MultiBinary(2), np.asarray([0, 1, 1])),
        (spaces.Dict({"a": spaces.Discrete(2)}), {"a": 0, "b": 1}),
        (spaces.Dict({"a": spaces.Discrete(2)}), {"b": 1}),
        (spaces.Dict({"action_mask": spaces.MultiBinary(2)}), {"action_mask": np.ones(3)}),
    ],
)
def test_what_is_no_observation_is_an_error(space, observation):
    with pytest.raises((ValueError, TypeError, KeyError)):
        seen(space, observation)


class Corridor(gymnasium.Env):
    """Left and right, where there is somewhere to go; told besides. It refuses what cannot be done."""

    observation_space, action_space = spaces.Discrete(4), spaces.Discrete(2)

    def __init__(self, goal=0):
        self.goal, self.place = goal, 0

    def _besides(self):
        return {"action_mask": np.asarray([self.place > 0, self.place < 3], np.int8)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(4))
        return self.place, self._besides()

    def step(self, action):
        if not self._besides()["action_mask"][action]:
            raise ValueError("there is a wall")
        self.place += 2 * action - 1
        return self.place, float(self.place == self.goal), False, False, self._besides()


def test_a_mask_that_comes_besides_is_shown():
    env = MaskShown(Corridor())
    assert space_of(observed(env.observation_space, 2)) == Dict(
        {"action_mask": ActionMask(2), "observation": Discrete(4)}
    )
    found, _ = env.reset(seed=0)
    assert env.observation_space.contains({**found, "action_mask": found["action_mask"].astype(np.int8)})
    problem = gymnasium_problem(Corridor, {"goal": [0, 1, 2, 3]}, horizon=5, episodes=2)
    assert problem.env.observation_space.mask_place == slice(0, 2)


@pytest.mark.compiles
def test_nobody_walks_into_a_wall(tmp_path):
    """An illegal action would lose its trial."""

    def corridors():
        return gymnasium_problem(Corridor, {"goal": [0, 1, 2, 3]}, horizon=5, episodes=2)

    register_problem("corridors", corridors)
    try:
        run = train(
            "rl2", "corridors", out=tmp_path / "run", num_tasks=16, num_minibatches=2, num_updates=2, eval_tasks=50
        )
        assert sum(row.get("trials_lost", 0) for row in run.metrics) == 0
        agent = Agent.load(tmp_path / "run")
        agent.begin()
        for place, mask in ((0, [0, 1]), (3, [1, 0])):
            action = agent.act({"observation": place, "action_mask": mask})
            assert mask[int(action)]
            agent.observe(0.0)
    finally:
        forget("corridors")
