"""Data parallelism over tasks: the one place that knows that there are several devices.

The training loop runs `update` under `jax.shard_map` with one axis. Inside, an algorithm asks for its share of
the tasks (`local`) and joins gradients and statistics (`mean`); it knows neither axis names nor device counts.
Outside `shard_map`, and on one device, both are the identity. Every device takes the gradient of its own
tasks, and one mean joins them *after* the backward pass: with sharded arrays under plain `jit`, XLA reduces the
recurrent weights' gradient inside the backward scan, at a third of the speed.

Devices may belong to several processes (`adaptax.training.multihost`): each then has the same number of them.
"""

from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, PyTree

from adaptax.core.errors import UseError
from adaptax.core.types import key_data, wrap_key_data

AXIS = "task"

Tree = TypeVar("Tree")


def num_devices() -> int:
    """Number of devices that share the current update's tasks."""
    try:
        return jax.lax.axis_size(AXIS)
    except NameError:
        return 1


def mean(tree: Tree) -> Tree:
    """Mean over devices of every leaf: a no-op on one device.

    All leaves of a type travel together, since each message has its price, however short it is.
    """
    if num_devices() == 1:
        return tree
    leaves, structure = jax.tree.flatten(tree)
    joined = list(leaves)
    for dtype in dict.fromkeys(x.dtype for x in leaves):
        members = [i for i, x in enumerate(leaves) if x.dtype == dtype]
        ends = np.cumsum([leaves[i].size for i in members])
        means = jax.lax.pmean(jnp.concatenate([leaves[i].ravel() for i in members]), AXIS)
        for i, part in zip(members, jnp.split(means, ends[:-1]), strict=True):
            joined[i] = part.reshape(leaves[i].shape)
    return cast(Tree, jax.tree.unflatten(structure, joined))


def total(x: Array) -> Array:
    """Sum over devices: a no-op on one device."""
    return x if num_devices() == 1 else jax.lax.psum(x, AXIS)


def local(tree: PyTree[Array], groups: int = 1) -> Any:
    """This device's share of arrays with a leading task axis.

    The tasks of each of `groups` equal consecutive groups are split evenly, so that minibatch i of all
    devices together is group i, however many devices there are.

    Raises:
        UseError: if the number of tasks is not divisible by groups × devices.
    """
    devices = num_devices()

    def take(x: Array) -> Array:
        if x.shape[0] % (groups * devices):
            raise UseError(
                f"num_tasks={x.shape[0]} does not divide into num_minibatches={groups} × {devices} devices; "
                f"choose a multiple of {groups * devices}"
            )
        each = x.shape[0] // (groups * devices)  # named, since of arrays without numbers JAX cannot tell
        shares = x.reshape(groups, devices, each, *x.shape[1:])
        share = jax.lax.dynamic_index_in_dim(shares, jax.lax.axis_index(AXIS), 1, keepdims=False)
        return share.reshape(groups * each, *x.shape[1:])

    return jax.tree.map(take, tree) if devices > 1 else tree


def gather(tree: Tree, axis: int = 0, groups: int = 1) -> Tree:
    """All devices' shares of arrays with an axis of tasks, in the order that they had before `local`, on each device.

    For what all must hold alike, as a replay buffer. A no-op on one device.
    """
    devices = num_devices()
    if devices == 1:
        return tree

    def join(x: Array) -> Array:
        before, number, after = x.shape[:axis], x.shape[axis], x.shape[axis + 1 :]
        joined = jax.lax.all_gather(x.reshape(*before, groups, number // groups, *after), AXIS, axis=axis + 1)
        return joined.reshape(*before, devices * number, *after)

    return cast(Tree, jax.tree.map(join, tree))


def over_devices(function: Any, devices: int) -> Any:
    """Run `function` on `devices` devices at once: inputs and outputs are the same on each."""
    if devices == 1:
        return function
    everywhere = PartitionSpec()
    # check_vma=False: with the check on, gradients of replicated parameters arrive already summed.
    return jax.shard_map(function, mesh=_mesh(devices), in_specs=everywhere, out_specs=everywhere, check_vma=False)


def everywhere(tree: Tree, devices: int) -> Tree:
    """Put arrays that all processes have on all of their devices; a no-op in a process that is alone."""
    if jax.process_count() == 1:
        return tree
    sharding = NamedSharding(_mesh(devices), PartitionSpec())

    def spread(x: Array) -> Array:
        host = np.asarray(key_data(x))
        return wrap_key_data(jax.make_array_from_callback(host.shape, sharding, lambda index: host[index]), x)

    return jax.tree.map(spread, tree)


def here(tree: Tree) -> Tree:
    """What `over_devices` returned, as this process's own arrays; a no-op in a process that is alone."""
    if jax.process_count() == 1:
        return tree

    def own(x: Array) -> Array:
        data = np.asarray(key_data(x).addressable_data(0))
        return wrap_key_data(jnp.asarray(data), x)  # on no device in particular

    return jax.tree.map(own, tree)


def _mesh(devices: int) -> Mesh:
    """The first devices, as many of each process."""
    share, processes = devices // jax.process_count(), range(jax.process_count())
    chosen = [[d for d in jax.devices() if d.process_index == process][:share] for process in processes]
    return Mesh([device for own in chosen for device in own], (AXIS,))
