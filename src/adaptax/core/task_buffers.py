"""Past experience of each task of a fixed set, in places that the newest takes from the oldest."""

from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from adaptax.core.errors import UseError


class Steps(eqx.Module):
    """Steps of experience, encoded, with any batch axes.

    Attributes:
        before: Encoded observations.
        action: What was done, encoded.
        reward: What it brought.
        after: Encoded observations where it led, before any reset.
        terminated: Whether nothing comes after it.
    """

    before: Float[Array, "*batch size"]
    action: Float[Array, "*batch action_size"]
    reward: Float[Array, "*batch"]
    after: Float[Array, "*batch size"]
    terminated: Bool[Array, "*batch"]


class TaskBuffers(eqx.Module):
    """The newest steps of each task, a ring for each; the same on all devices.

    Attributes:
        steps: Leaves `[task, capacity, ...]`.
        clock: Of each step, how many steps of its trial there were before it.
        count: Steps ever put in, of each task.
    """

    steps: Steps
    clock: Int[Array, "task capacity"]
    count: Int[Array, " task"]

    @classmethod
    def empty(cls, num_tasks: int, capacity: int, size: int, action_size: int) -> Self:
        """Nothing yet, of so many tasks."""
        places = (num_tasks, capacity)
        observations = jnp.zeros((*places, size))
        steps = Steps(
            observations, jnp.zeros((*places, action_size)), jnp.zeros(places), observations, jnp.zeros(places) > 0
        )
        return cls(steps, jnp.zeros(places, jnp.int32), jnp.zeros(num_tasks, jnp.int32))

    @property
    def capacity(self) -> int:
        """Places of each task."""
        return self.steps.reward.shape[1]

    def add(self, tasks: Int[Array, " n"], steps: Steps, valid: Bool[Array, "n time"]) -> Self:
        """Put the steps of a trial of each task that happened into the places of the task's oldest ones.

        Args:
            tasks: Which tasks, each once.
            steps: Leaves `[n, time, ...]`.
            valid: Which steps happened.

        Raises:
            UseError: if there are more steps than places: two would be put into one.
        """
        if valid.shape[1] > self.capacity:
            raise UseError(
                f"TaskBuffers.add: expected at most {self.capacity} steps of a task, its places; found {valid.shape[1]}"
            )
        clock = jnp.cumsum(valid, 1, dtype=jnp.int32) - 1
        index = self.count[tasks][:, None] + clock
        places = jnp.where(valid, index % self.capacity, self.capacity)  # out of range: dropped
        stored, clock = jax.tree.map(
            lambda store, new: store.at[tasks[:, None], places].set(new, mode="drop"),
            (self.steps, self.clock),
            (steps, clock),
        )
        return type(self)(stored, clock, self.count.at[tasks].add(jnp.sum(valid, 1, dtype=jnp.int32)))

    def draw_tasks(self, key: Key[Array, ""], num: int) -> Int[Array, " num"]:
        """Tasks drawn uniformly, with replacement, from those of which there is anything."""
        chances = jnp.where(self.count > 0, 0.0, -jnp.inf)
        return jax.random.categorical(key, jnp.where(jnp.any(self.count > 0), chances, 0.0), shape=(num,))

    def draw(self, task: Int[Array, ""], key: Key[Array, ""], num: int) -> Steps:
        """Steps of a task, drawn uniformly and with replacement, leaves `[num, ...]`; zeros where there are none."""
        places = jax.random.randint(key, (num,), 0, jnp.clip(self.count[task], 1, self.capacity))
        return jax.tree.map(lambda x: x[task, places], self.steps)

    def draw_beginning(
        self, task: Int[Array, ""], key: Key[Array, ""], num: int, recent: int
    ) -> tuple[Steps, Bool[Array, " num"]]:
        """The first steps of one of a task's newest trials that are there as a whole.

        Args:
            task: Which task.
            key: Decides which trial.
            num: How many steps, at most.
            recent: How many trials count as the newest.

        Returns:
            Steps, leaves `[num, ...]`, and which of them there are.
        """
        oldest = jnp.maximum(self.count[task] - self.capacity, 0)

        def begun(end: Int[Array, ""]) -> Int[Array, ""]:
            """Where the trial has begun that ends before `end`, counted from the task's first step."""
            return end - 1 - self.clock[task, (end - 1) % self.capacity]

        def back(_: Array, end: Int[Array, ""]) -> Int[Array, ""]:
            start = begun(end)
            there = (start > oldest) & (begun(start) >= oldest)
            return jnp.where(there, start, end)

        end = jax.lax.fori_loop(0, jax.random.randint(key, (), 0, recent), back, self.count[task])
        start = begun(end)
        places = start + jnp.arange(num, dtype=jnp.int32)
        there = (places < end) & (self.count[task] > 0)
        return jax.tree.map(lambda x: x[task, places % self.capacity], self.steps), there
