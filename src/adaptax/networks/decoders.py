"""What a latent variable m says of a task: decoders of rewards, of transitions, and of the task itself.

Each gives Σ_i log p(step i | m) for beliefs × trials at once, without the constants that no parameter changes. Beliefs
and steps are of the same trials, along the axis of trials: every belief is asked for every step, past and future.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from adaptax.core.errors import UseError
from adaptax.core.spaces import Discrete, Space
from adaptax.networks.heads import Linear
from adaptax.networks.mlp import MLP


class Steps(eqx.Module):
    """What is to be decoded, for any batch axes.

    Attributes:
        before: The observation before the step, as networks read it.
        action: What was done, encoded.
        after: Where it led, as networks read it.
        reward: What it brought, as the likelihood wants it.
        weight: How often it counts; 0 for a step that did not happen.
    """

    before: Float[Array, "*batch observation_size"]
    action: Float[Array, "*batch action_size"]
    after: Float[Array, "*batch observation_size"]
    reward: Float[Array, "*batch"]
    weight: Float[Array, "*batch"]


def log_likelihood(kind: str, output: Float[Array, "*batch"], target: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """The log-likelihood of targets: "gaussian", of deviation 1 about `output`; "bernoulli", of logit `output`."""
    if kind == "gaussian":
        return -0.5 * (target - output) ** 2
    return target * output - jax.nn.softplus(output)


class RewardTable(eqx.Module):
    """p(r | m, s'): an output for each state that a step may lead to.

    Attributes:
        body: Layers that read m.
        out: To an output for each state.
        kind: The likelihood.
    """

    body: MLP
    out: Linear
    kind: str = eqx.field(static=True)

    def __init__(self, latent_size: int, space: Discrete, size: int, kind: str, key: Key[Array, ""]):
        body_key, out_key = jax.random.split(key)
        self.body = MLP(latent_size, (size, size), "relu", body_key)
        self.out = Linear(size, space.num, 0.1, out_key)
        self.kind = kind

    def table(self, latent: Float[Array, "*batch latent_size"]) -> Float[Array, "*batch states"]:
        """The outputs of all states."""
        return self.out(self.body(latent))

    def log_likelihood(
        self, latent: Float[Array, "belief trial latent_size"], steps: Steps
    ) -> Float[Array, "belief trial"]:
        """Σ_i w_i log p(r_i | m, s'_i), with `steps` `[step, trial]`.

        Of the steps that led to a state it takes their number, and the sums of their rewards and of the squares.
        """
        outputs = self.table(latent)
        led = steps.after * steps.weight[..., None]
        number = jnp.sum(led, 0)[None]
        total = jnp.sum(led * steps.reward[..., None], 0)[None]
        if self.kind == "bernoulli":
            return jnp.sum(total * outputs - number * jax.nn.softplus(outputs), -1)
        squares = jnp.sum(led * steps.reward[..., None] ** 2, 0)[None]
        return -0.5 * jnp.sum(squares - 2 * total * outputs + number * outputs**2, -1)


class Pairs(eqx.Module):
    """A network of two layers that reads m and a step: every belief of a trial with every one of its steps.

    Attributes:
        from_latent: First layer's part for m.
        from_step: First layer's part for the step.
        hidden: Second layer.
        out: Last layer.
    """

    from_latent: Linear
    from_step: Linear
    hidden: Linear
    out: Linear

    def __init__(self, latent_size: int, step_size: int, size: int, output_size: int, key: Key[Array, ""]):
        keys = jax.random.split(key, 4)
        self.from_latent = Linear(latent_size, size, 2.0**0.5, keys[0])
        self.from_step = Linear(step_size, size, 2.0**0.5, keys[1])
        self.hidden = Linear(size, size, 2.0**0.5, keys[2])
        self.out = Linear(size, output_size, 0.1, keys[3])

    def __call__(
        self, latent: Float[Array, "belief trial latent_size"], step: Float[Array, "step trial step_size"]
    ) -> Float[Array, "belief step trial output_size"]:
        """Outputs for all pairs."""
        first = jax.nn.relu(self.from_latent(latent)[:, None] + self.from_step(step)[None])
        return self.out(jax.nn.relu(self.hidden(first)))


class RewardNetwork(eqx.Module):
    """p(r | m, s, a, s').

    Attributes:
        pairs: The network.
        kind: The likelihood.
    """

    pairs: Pairs
    kind: str = eqx.field(static=True)

    def __init__(self, latent_size: int, spaces: tuple[Space, Space], size: int, kind: str, key: Key[Array, ""]):
        observation, action = (space.encoded_size for space in spaces)
        self.pairs = Pairs(latent_size, 2 * observation + action, size, 1, key)
        self.kind = kind

    def log_likelihood(
        self, latent: Float[Array, "belief trial latent_size"], steps: Steps
    ) -> Float[Array, "belief trial"]:
        """Σ_i w_i log p(r_i | m, s_i, a_i, s'_i), with `steps` `[step, trial]`."""
        read = jnp.concatenate([steps.before, steps.action, steps.after], -1)
        found = log_likelihood(self.kind, self.pairs(latent, read)[..., 0], steps.reward[None])
        return jnp.sum(found * steps.weight[None], 1)


class TransitionNetwork(eqx.Module):
    """p(s' | m, s, a): one of the states, or a normal distribution of deviation 1 in each number of an observation.

    Attributes:
        pairs: The network.
        categorical: Whether observations are states by number.
    """

    pairs: Pairs
    categorical: bool = eqx.field(static=True)

    def __init__(self, latent_size: int, spaces: tuple[Space, Space], size: int, key: Key[Array, ""]):
        observation, action = (space.encoded_size for space in spaces)
        self.pairs = Pairs(latent_size, observation + action, size, observation, key)
        self.categorical = isinstance(spaces[0], Discrete)

    def log_likelihood(
        self, latent: Float[Array, "belief trial latent_size"], steps: Steps
    ) -> Float[Array, "belief trial"]:
        """Σ_i w_i log p(s'_i | m, s_i, a_i), with `steps` `[step, trial]`."""
        output = self.pairs(latent, jnp.concatenate([steps.before, steps.action], -1))
        after = steps.after[None]
        found = jax.nn.log_softmax(output) * after if self.categorical else log_likelihood("gaussian", output, after)
        return jnp.sum(jnp.sum(found, -1) * steps.weight[None], 1)


class TaskNetwork(eqx.Module):
    """p(task | m): a normal distribution of deviation 1 in each of the task's features, in deviations.

    Attributes:
        body: Layers that read m.
        out: To the features.
    """

    body: MLP
    out: Linear

    def __init__(self, latent_size: int, features: int, size: int, key: Key[Array, ""]):
        body_key, out_key = jax.random.split(key)
        self.body = MLP(latent_size, (size, size), "relu", body_key)
        self.out = Linear(size, features, 0.1, out_key)

    def log_likelihood(
        self, latent: Float[Array, "belief trial latent_size"], features: Float[Array, "trial features"]
    ) -> Float[Array, "belief trial"]:
        """Log-likelihood of the task itself (Humplik et al. 2019)."""
        return jnp.sum(log_likelihood("gaussian", self.out(self.body(latent)), features[None]), -1)


class Decoder(eqx.Module):
    """p_θ of what a trial brings, given m; parts that are None are not decoded.

    Attributes:
        rewards: Of rewards.
        transitions: Of where steps lead.
        task: Of the task.
    """

    rewards: RewardTable | RewardNetwork | None
    transitions: TransitionNetwork | None
    task: TaskNetwork | None

    def log_likelihood(
        self,
        latent: Float[Array, "belief trial latent_size"],
        steps: Steps,
        features: Float[Array, "trial features"],
    ) -> Float[Array, "belief trial"]:
        """Log-likelihood of all that is decoded, with `steps` `[step, trial]`."""
        of_steps = [part for part in (self.rewards, self.transitions) if part is not None]
        found = [part.log_likelihood(latent, steps) for part in of_steps]
        found += [self.task.log_likelihood(latent, features)] if self.task is not None else []
        return sum(found[1:], found[0])


class DecoderSizes(NamedTuple):
    """What decoders are built for.

    Attributes:
        observation: The observation space.
        action: The action space.
        latent: Numbers of m.
        features: Of a task.
        hidden: Units of each hidden layer.
    """

    observation: Space
    action: Space
    latent: int
    features: int
    hidden: int


def make_decoder(decodes: str, rewards_by: str, kind: str, sizes: DecoderSizes, key: Key[Array, ""]) -> Decoder:
    """A decoder.

    Args:
        decodes: "rewards", "transitions" (and rewards) or "task".
        rewards_by: What rewards are decoded from, "transition" or "next-state".
        kind: Their likelihood.
        sizes: What it is for.
        key: Decides the weights.

    Raises:
        UseError: if rewards are to be decoded by state, and states have no numbers.
    """
    reward_key, transition_key, task_key = jax.random.split(key, 3)
    spaces, latent, size = (sizes.observation, sizes.action), sizes.latent, sizes.hidden
    if decodes == "task":
        return Decoder(None, None, TaskNetwork(latent, sizes.features, size, task_key))
    if rewards_by == "next-state" and not isinstance(sizes.observation, Discrete):
        raise UseError(f"reward_decoder='next-state': expected states by number (Discrete); found {sizes.observation}")
    rewards: RewardTable | RewardNetwork
    if rewards_by == "next-state":
        rewards = RewardTable(latent, sizes.observation, size, kind, reward_key)  # type: ignore[arg-type]
    else:
        rewards = RewardNetwork(latent, spaces, size, kind, reward_key)
    transitions = TransitionNetwork(latent, spaces, size, transition_key) if decodes == "transitions" else None
    return Decoder(rewards, transitions, None)
