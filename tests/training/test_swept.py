"""Which settings are numbers inside a program, found by tracing alone; how rows are put together and taken apart."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax.algorithms.memory.rl2 import RL2
from adaptax.algorithms.standard_rl.dqn import DQN
from adaptax.core.algorithm import init
from adaptax.core.settings import kind_of, setting
from adaptax.core.types import key_data
from adaptax.problems.bandit import bernoulli_bandit
from adaptax.training import swept

SMALL = {"memory": "gru", "memory_size": 4, "critic_size": 4, "num_tasks": 4, "num_minibatches": 2, "num_updates": 9}


@pytest.fixture(scope="module")
def problem():
    return bernoulli_bandit(num_arms=3, num_pulls=4)


def names_of(algorithm):
    return [field.name for field in dataclasses.fields(algorithm)]


def floats_of(algorithm):
    return {field.name for field in dataclasses.fields(algorithm) if kind_of(field) is float}


def test_all_that_only_enters_arithmetic_is_inside_and_sizes_and_words_are_not(problem):
    algorithm = RL2(**SMALL)
    inside = swept.numbers_inside(algorithm, problem, names_of(algorithm))
    assert set(inside) == floats_of(algorithm)
    assert {"learning_rate", "discount", "clip", "entropy_cost", "adam_b2"} <= set(inside)
    assert not {"memory", "memory_size", "num_updates", "num_epochs", "encoder"} & set(inside)


@dataclasses.dataclass(frozen=True)
class Curious(RL2):
    """Python wants to know one of its numbers to choose a branch, and another to size an array."""

    threshold: float = setting(0.5, low=0, high=1)
    width: float = setting(2.0, low=1, high=9)
    scale: float = setting(1.0, low=0, high=9)

    def learn(self, problem, state, experience):
        new, metrics = super().learn(problem, state, experience)
        extra = jnp.zeros(int(self.width)).sum() + self.scale
        return new, {**metrics, "extra": extra if self.threshold > 0.3 else -extra}


def test_what_python_wants_to_know_is_found_out_even_beside_what_it_does_not(problem):
    algorithm = Curious(**SMALL)
    asked = ["threshold", "scale", "width", "learning_rate"]
    assert swept.numbers_inside(algorithm, problem, asked) == ["scale", "learning_rate"]
    assert swept.numbers_inside(algorithm, problem, ["threshold"]) == []


def test_where_nothing_is_trained_nothing_is_inside_a_program(problem):
    assert swept.numbers_inside(DQN(), problem, ["learning_rate"]) == []
    assert swept.numbers_inside(RL2(**SMALL), problem, ["num_tasks", "memory"]) == []


def test_metrics_of_a_cell_are_those_of_its_rows_up_to_what_was_not_finite():
    sound = np.ones((4, 6), bool)
    sound[2, 3] = False  # the second seed of the second cell
    told = {"return": np.arange(24.0).reshape(4, 6), swept.SOUND: sound}
    metrics, taken = swept.metrics_of(told, 1, 2)
    np.testing.assert_array_equal(metrics["return"], [[2, 3], [8, 9], [14, 15], [20, 21]])
    assert (list(metrics), taken) == (["return"], 2)
    assert [swept.metrics_of(told, cell, 2)[1] for cell in (0, 2)] == [4, 4]
    assert swept.metrics_of(told, 3, 1)[1] == 2


@pytest.mark.compiles
@pytest.mark.parametrize("num_seeds", [1, 2])
def test_rows_begin_as_each_cell_does_alone_and_come_apart_as_they_were_joined(problem, num_seeds):
    algorithm = RL2(**SMALL)
    values = {"learning_rate": jnp.asarray([1e-3, 2e-3, 4e-3])}
    made = jax.jit(lambda key: swept.first_states(swept.Swept(algorithm), problem, key, values, num_seeds))
    states = made(jax.random.key(3))
    alone = init(algorithm, problem, seed=3, num_seeds=num_seeds)
    host = swept.on_host(states)
    cells = [swept.cell_of(host, index, num_seeds) for index in range(3)]
    again = swept.padded(swept.joined(cells, values, num_seeds), 4)
    np.testing.assert_array_equal(
        again.meta.values["learning_rate"],
        np.resize(np.repeat(np.float32([1e-3, 2e-3, 4e-3]), num_seeds), -(-3 * num_seeds // 4) * 4),
    )
    for cell in cells:
        for mine, other in zip(jax.tree.leaves(cell), jax.tree.leaves(alone), strict=True):
            np.testing.assert_array_equal(key_data(mine), key_data(other))
    for mine, other in zip(jax.tree.leaves(again.meta.meta), jax.tree.leaves(states.meta.meta), strict=True):
        np.testing.assert_array_equal(mine[: 3 * num_seeds], other)
