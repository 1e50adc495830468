"""Tasks with a loss, a model of one hidden layer, and the outer gradient, for the tests of `maml_train`."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from adaptax.few_shot.maml import maml_train


class Bowl(eqx.Module):
    """½ a (θ − c)²: after K steps φ − c = (1 − α a)^K (θ − c)."""

    curvature: jax.Array
    centre: jax.Array

    def loss(self, model):
        return 0.5 * self.curvature * (model["theta"] - self.centre) ** 2


class PlainBowl:
    """The same as an object of plain Python, which cannot be stacked."""

    def __init__(self, curvature, centre):
        self.curvature, self.centre = curvature, centre

    loss = Bowl.loss


@dataclasses.dataclass(frozen=True)
class TwoLosses:
    """Adapts to 0 and is scored at 1."""

    def support_loss(self, model):
        return 0.5 * model["theta"] ** 2

    def query_loss(self, model):
        return 0.5 * (model["theta"] - 1.0) ** 2


class Regression(eqx.Module):
    """Support and query points of one function."""

    inputs: jax.Array
    targets: jax.Array

    def error(self, model, which):
        return jnp.mean((jax.vmap(model)(self.inputs[which]) - self.targets[which]) ** 2)

    def support_loss(self, model):
        return self.error(model, 0)

    def query_loss(self, model):
        return self.error(model, 1)


class Network(eqx.Module):
    """One input, three hidden units with tanh, one output."""

    first: jax.Array
    bias: jax.Array
    last: jax.Array
    activation: object = jnp.tanh

    def __call__(self, x):
        return jnp.sum(self.last * self.activation(self.first * x + self.bias))


CURVATURES, CENTRES = (0.5, 1.0, 2.0), (1.0, -2.0, 3.0)
LR = 0.2


def bowls(kind=Bowl, order=(0, 1, 2)):
    values = [(jnp.asarray(CURVATURES[i]), jnp.asarray(CENTRES[i])) for i in order]
    return [kind(*value) for value in values]


def theta(value=0.7):
    return {"theta": jnp.asarray(value)}


def network():
    return Network(jnp.asarray([1.0, -0.5, 0.3]), jnp.asarray([0.0, 0.4, -1.0]), jnp.asarray([0.5, -1.0, 0.8]))


def regressions(num=3):
    inputs = jax.random.uniform(jax.random.key(1), (num, 2, 5), minval=-2.0, maxval=2.0)
    slopes = jnp.linspace(0.5, 2.0, num)[:, None, None]
    return [Regression(x, y) for x, y in zip(inputs, jnp.sin(slopes * inputs), strict=True)]


def train(model, tasks, inner_steps, outer_steps=1, optimizer=None, **options):
    return maml_train(model, optimizer or optax.sgd(1.0), tasks, inner_steps, outer_steps, **options)


def outer_gradient(model, tasks, inner_steps, **options):
    """Of the compiled program itself: one outer step of plain descent at rate 1."""
    new = train(model, tasks, inner_steps, **options).model
    return jax.tree.map(lambda p, q: np.asarray(p - q), *(eqx.filter(m, eqx.is_inexact_array) for m in (model, new)))


def flat(tree):
    return np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)])


def assert_same(one, two, rtol=0.0, atol=0.0):
    np.testing.assert_allclose(flat(eqx.filter(one, eqx.is_array)), flat(eqx.filter(two, eqx.is_array)), rtol, atol)
