"""The shared outer step: gradients over minibatches of tasks, joined over devices, into an optax optimiser."""

from collections.abc import Callable
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

from adaptax.core import parallel
from adaptax.core.errors import UseError
from adaptax.core.types import Metrics


def adam(
    learning_rate: float | Array, num_steps: int, *, max_gradient_norm: float | Array, b2: float | Array = 0.999
) -> optax.GradientTransformation:
    """Adam with gradient clipping, and a learning rate that falls to 0 along a cosine over `num_steps` steps.

    Args:
        learning_rate: Peak learning rate.
        num_steps: Optimiser steps in the whole run.
        max_gradient_norm: Global norm above which a gradient is scaled down.
        b2: Decay of the second moments.
    """
    # optax's schedule with a warm-up asks whether the rate is 0, which a rate that is swept cannot tell.
    schedule = optax.cosine_decay_schedule(cast(float, learning_rate), num_steps)
    return optax.chain(optax.clip_by_global_norm(max_gradient_norm), optax.adam(schedule, b2=b2, eps=1e-5))


def minibatch_epochs(
    loss: Callable[[Any, Any], tuple[Array, Metrics]],
    optimizer: optax.GradientTransformation,
    parameters: PyTree[Array],
    opt_state: PyTree[Array],
    batch: tuple[Any, ...],
    task_axes: tuple[int, ...],
    *,
    num_epochs: int,
    num_minibatches: int,
) -> tuple[PyTree[Array], PyTree[Array], Metrics]:
    """Descend `loss` for several passes over `batch`, in minibatches of whole tasks.

    Tasks are independent draws in no order, so minibatches are consecutive slices and nothing is shuffled
    (time never is; trap E14).

    Args:
        loss: From parameters and a minibatch to a scalar and metrics.
        optimizer: An optax optimiser.
        parameters: What to improve.
        opt_state: The optimiser's state.
        batch: A tuple of pytrees.
        task_axes: The task axis of each of them.
        num_epochs: Passes over the batch.
        num_minibatches: Minibatches in a pass.

    Returns:
        Parameters, optimiser state, and the metrics' means, with the gradient's norm added.
    """
    num_local = jax.tree.leaves(batch[0])[0].shape[task_axes[0]]
    if num_local % num_minibatches:
        raise UseError(f"num_minibatches={num_minibatches} does not divide the {num_local} tasks of a device")
    size = num_local // num_minibatches

    def step(carry: tuple[Any, Any], index: Array) -> tuple[tuple[Any, Any], Metrics]:
        parameters, opt_state = carry

        def cut(x: Array, axis: int) -> Array:
            return jax.lax.dynamic_slice_in_dim(x, index * size, size, axis)

        minibatch = tuple(
            jax.tree.map(lambda x, axis=axis: cut(x, axis), part) for part, axis in zip(batch, task_axes, strict=True)
        )
        (_, metrics), gradient = jax.value_and_grad(loss, has_aux=True)(parameters, minibatch)
        gradient = parallel.mean(gradient)
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counter with floats
            updates, opt_state = optimizer.update(gradient, opt_state, parameters)
        metrics = {**metrics, "gradient_norm": optax.tree.norm(gradient)}
        return (eqx.apply_updates(parameters, updates), opt_state), metrics

    indices = jnp.tile(jnp.arange(num_minibatches), num_epochs)
    (parameters, opt_state), metrics = jax.lax.scan(step, (parameters, opt_state), indices)
    return parameters, opt_state, jax.tree.map(jnp.mean, metrics)
