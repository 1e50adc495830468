"""Rooms in the dark: only where one is can be seen (Laskin et al. 2022, section 4; arXiv 2210.14215).

**The dark room.** A 10 × 10 grid; every episode starts in a corner and lasts 100 steps. One of the cells, unseen, is
the goal: reward 1 for each step that begins on it, 0 for each other. There are five actions, "stay" among them; a step
off the grid leaves the agent where it is.

Whoever knows a goal d steps away earns 100 − d, 91 on average. Whoever does not has begun at most t steps on different
cells after t of them, so nobody earns more than (1 + 2 + … + 100) / 100 = 50.5 in a first episode, however it is
searched; and a random walk earns 1, wherever it goes.

**Key and door.** Two cells are hidden: a step that begins on the first finds a key (reward 1, once), and a later one
that begins on the second opens the door (reward 1, once). Whether the key is found is not observed: that is to be
remembered from the reward. Whoever knows both earns 2.

Differences from the paper: rooms of one size for both; each cell may be the goal, the start too.
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from adaptax.core.problem import Problem, Step, TaskDistribution, make_problem
from adaptax.problems.grid_worlds import GridGoal, GridWorld, UniformGoals, deal_goals
from adaptax.problems.settings import DarkKeyDoorSettings, DarkRoomSettings


class KeyAndDoor(eqx.Module):
    """Where to go, and where then.

    Attributes:
        key_cell: Where the key is, row × size + column.
        door: Where the door is.
    """

    key_cell: Int[Array, "*batch"]
    door: Int[Array, "*batch"]


class DarkRoom(GridWorld):
    """Be on the goal: see the module."""

    pays_where_it_begins: ClassVar[bool] = True
    """What a step brings tells of the cell that it begins on."""

    def __init__(self, size: int, horizon: int):
        super().__init__(size, horizon)

    def reset(self, task: GridGoal, key: Key[Array, ""]) -> tuple[Int[Array, ""], Int[Array, ""]]:
        """Begin in cell 0, which also is what is observed."""
        start = jnp.asarray(0, jnp.int32)
        return start, start

    def step(self, state: Int[Array, ""], action: Int[Array, ""], task: GridGoal, key: Key[Array, ""]) -> Step:
        """Be paid where it begins, then move one cell, or stay."""
        cell = self.moved(state, action)
        return Step(cell, cell, (state == task.cell).astype(jnp.float32), jnp.asarray(False))


class Walk(eqx.Module):
    """A state of the room with key and door.

    Attributes:
        cell: Where the agent is.
        found: Whether it has the key.
        opened: Whether the door is open.
    """

    cell: Int[Array, ""]
    found: Bool[Array, ""]
    opened: Bool[Array, ""]


class DarkKeyDoor(GridWorld):
    """Find a key, then its door: see the module."""

    def __init__(self, size: int, horizon: int):
        super().__init__(size, horizon)

    def reset(self, task: KeyAndDoor, key: Key[Array, ""]) -> tuple[Walk, Int[Array, ""]]:
        """Begin in cell 0 without the key; the cell is what is observed."""
        start, no = jnp.asarray(0, jnp.int32), jnp.asarray(False)
        return Walk(start, no, no), start

    def step(self, state: Walk, action: Int[Array, ""], task: KeyAndDoor, key: Key[Array, ""]) -> Step:
        """Take the key or open the door where it begins, then move one cell, or stay."""
        finds = ~state.found & (state.cell == task.key_cell)
        opens = state.found & ~state.opened & (state.cell == task.door)
        cell = self.moved(state.cell, action)
        after = Walk(cell, state.found | finds, state.opened | opens)
        return Step(after, cell, (finds | opens).astype(jnp.float32), jnp.asarray(False))


class DarkGoals(UniformGoals):
    """One of `goals`, each with the same chance, in a dark room."""

    def __init__(self, goals: tuple[int, ...], size: int, horizon: int, split: str):
        super().__init__(goals, size, horizon, split)

    def oracle(self, task: GridGoal) -> Float[Array, ""]:
        """Walk there in d steps and stay: the horizon less d."""
        return jnp.maximum(self.horizon - _distance(0, task.cell, self.size), 0).astype(jnp.float32)


class KeysAndDoors(TaskDistribution):
    """Any two of `cells`, each with the same chance.

    Attributes:
        cells: Where key and door may be.
        size: Cells along one side.
        horizon: Steps of an episode.
    """

    cells: tuple[int, ...] = eqx.field(static=True)
    size: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    split: str = eqx.field(static=True)
    finite: int | None = eqx.field(static=True, default=None)

    def draw(self, key: Key[Array, ""]) -> KeyAndDoor:
        """Draw the key's cell and the door's."""
        return KeyAndDoor(*jnp.asarray(self.cells, jnp.int32)[jax.random.randint(key, (2,), 0, len(self.cells))])

    def oracle(self, task: KeyAndDoor) -> Float[Array, ""]:
        """Both, or what is within reach of the horizon."""
        finds = _distance(0, task.key_cell, self.size)
        opens = finds + jnp.maximum(_distance(task.key_cell, task.door, self.size), 1)  # a later step
        return (finds < self.horizon).astype(jnp.float32) + (opens < self.horizon).astype(jnp.float32)


def _distance(start: Int[Array, "*batch"] | int, end: Int[Array, "*batch"], size: int) -> Int[Array, "*batch"]:
    """Steps from one cell to another."""
    return jnp.abs(start // size - end // size) + jnp.abs(start % size - end % size)


def far_cells(size: int) -> tuple[int, ...]:
    """Cells beyond the diagonal."""
    return tuple(cell for cell in range(size * size) if sum(divmod(cell, size)) >= size)


def dark_room(
    num_episodes: int = DarkRoomSettings.num_episodes,
    size: int = DarkRoomSettings.size,
    horizon: int = DarkRoomSettings.horizon,
    held_out: bool = DarkRoomSettings.held_out,
) -> Problem:
    """The dark room of Laskin et al. 2022: an unseen goal pays 1 for each step on it.

    Args:
        num_episodes: Episodes in a trial.
        size: Cells along one side.
        horizon: Steps of an episode.
        held_out: Whether validation and test have goals of their own, in 13 : 4 : 4; by default all splits hold all
            cells, and what is new in a test is not the goal but that it is hidden.
    """
    env, cells = DarkRoom(size, horizon), tuple(range(size * size))
    dealt = deal_goals(cells) if held_out else dict.fromkeys(("train", "validation", "test"), cells)
    return make_problem(env, lambda split: DarkGoals(dealt[split], size, horizon, split), num_episodes)


def dark_key_door(
    num_episodes: int = DarkKeyDoorSettings.num_episodes,
    size: int = DarkKeyDoorSettings.size,
    horizon: int = DarkKeyDoorSettings.horizon,
) -> Problem:
    """The dark room with a key and a door of Laskin et al. 2022: two hidden cells, in this order.

    Args:
        num_episodes: Episodes in a trial.
        size: Cells along one side.
        horizon: Steps of an episode.
    """
    env, cells = DarkKeyDoor(size, horizon), tuple(range(size * size))
    shifted = KeysAndDoors(cells=far_cells(size), size=size, horizon=horizon, split="shifted")
    family = lambda split: KeysAndDoors(cells=cells, size=size, horizon=horizon, split=split)  # noqa: E731
    return make_problem(
        env,
        family,
        num_episodes,
        shifted=shifted,
        shift="key and door in the half of the room that is farther from the start",
    )
