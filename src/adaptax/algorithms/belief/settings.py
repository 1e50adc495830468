"""Hyper-parameters of learners that act on beliefs, their names and where they start on each problem; no JAX."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal

from adaptax.algorithms.memory.settings import MemoryKind, RL2Settings, of_trial
from adaptax.core.entry import Changes, Defaults, Entry
from adaptax.core.errors import ConfigError
from adaptax.core.settings import LARGEST_COUNT, Settings, as_many_as_fit, episodes_of, horizon_of, setting

_REWARDS = {"decodes": ("rewards", "transitions")}


@dataclasses.dataclass(frozen=True)
class VariBADSettings(RL2Settings):
    """VariBAD: a policy that acts on a learned belief about the task (Zintgraf et al. 2020); HyperX, if it is paid.

    Attributes:
        memory: Kind of memory that the encoder has, as of rl2. Paper: a GRU.
        memory_size: Units of the memory. Paper: 64 on the grid, 128 on MuJoCo's robots.
        latent_size: Numbers of the latent variable m. Paper: 5.
        policy_size: Units of each of the two layers that read state and belief, for the policy. Paper: 32 on the grid.
        decodes: What the belief is to tell: rewards, rewards and transitions, or the task itself (Humplik et al. 2019).
        decoded_trial: Whose steps are decoded: the trial's "own", past and future, as in the paper; or those of a
            "yoked" one, in which the actions of another trial are done in the same task. Own steps depend on what the
            agent has found out (it stays where the goal is), so what is decoded of the others is no probability then;
            of yoked ones it is. They are environment steps too.
        reward_decoder: Whether rewards are decoded from the whole transition, or by a network with an output for each
            state that it may lead to. Paper: the latter on the grid.
        reward_likelihood: Rewards in deviations, or whether a reward is above 0.
        decoder_size: Units of each of the decoders' two hidden layers. Paper: 32 on the grid.
        kl_weight: Weight of the KL divergence from one belief to the next; 1 is the ELBO. Paper: .01 on the grid, .1
            on MuJoCo's robots.
        elbo_updates: Steps on the ELBO after each update of the policy. Paper: 3 on the grid.
        elbo_batch: Trials, from the buffer, in each of them. Paper: 25.
        elbo_learning_rate: Adam's peak learning rate for encoder and decoders. Paper: .001.
        elbo_beliefs: Beliefs of each trial that are decoded, drawn at random; 0 for all.
        decoded_steps: Steps of each trial that they are asked for, drawn at random; 0 for all.
        buffer_size: Trials that the buffer holds.
        rl_gradient: Let the policy's loss change the encoder, too. Paper: no.
        novelty_bonus: HyperX's reward for a hyper-state (state and belief) that is new (random network distillation),
            in units of reward, for what is as new as usual; it falls to 0. Zintgraf et al. 2021.
        surprise_bonus: HyperX's reward for a step that the decoder expected otherwise, per nat; likewise.
        bonus_share: Share of the run after which both have fallen to 0; what is left is learned for the rewards alone.
    """

    memory: MemoryKind = "gru"
    policy_size: int = setting(64, low=1, high=4096)
    latent_size: int = setting(16, low=1, high=4096)
    decodes: Literal["rewards", "transitions", "task"] = "rewards"
    decoded_trial: Literal["own", "yoked"] = setting("own", only=_REWARDS)
    reward_decoder: Literal["transition", "next-state"] = setting("transition", only=_REWARDS)
    reward_likelihood: Literal["gaussian", "bernoulli"] = setting("gaussian", only=_REWARDS)
    decoder_size: int = setting(64, low=1, high=4096)
    kl_weight: float = setting(0.01, low=0, high=1e6)
    elbo_updates: int = setting(16, low=0, high=1000)
    elbo_batch: int = setting(32, low=1, high=LARGEST_COUNT)
    elbo_learning_rate: float = setting(3e-3, above=0, high=1)
    elbo_beliefs: int = setting(0, low=0, high=LARGEST_COUNT)
    decoded_steps: int = setting(0, low=0, high=LARGEST_COUNT)
    buffer_size: int = setting(1024, low=1, high=LARGEST_COUNT)
    rl_gradient: bool = False
    novelty_bonus: float = setting(0.0, low=0, high=1e6)
    surprise_bonus: float = setting(0.0, low=0, high=1e6, only=_REWARDS)
    bonus_share: float = setting(1.0, above=0, high=1)

    def check_problem(self, problem: Settings) -> None:
        """Check that memory and decoder can serve the problem, and that an update is not too long.

        Raises:
            ConfigError: naming the field, what was expected and what was found.
        """
        super().check_problem(problem)
        if self.reward_decoder == "next-state" and not problem.discrete_states:
            raise ConfigError(
                f"{type(self).__name__}.reward_decoder: 'next-state' has an output for each state, so it expects "
                f"states that can be counted; found {type(problem).__name__}. Try --reward-decoder transition"
            )


MOST_KEPT_STEPS = 2**18
"""Environment steps in the buffer, at most, where its size is derived."""
MOST_DRAWN_STEPS = 2**11
"""The same, in each step on the ELBO."""
LONG_TRIAL = 64
"""Of longer trials, so many beliefs are decoded, and so many steps from each: all pairs would be too many."""


def _of_belief(problem: Settings) -> Changes:
    """What the length of a trial says: as of RL², and how much of it is kept and decoded."""
    steps = episodes_of(problem)[1] * horizon_of(problem)
    some: dict[str, Any] = {"elbo_beliefs": 32, "decoded_steps": 32} if steps > LONG_TRIAL else {}
    kept = as_many_as_fit(4096, 64, MOST_KEPT_STEPS, steps)
    batch = as_many_as_fit(32, 8, MOST_DRAWN_STEPS, steps, multiple_of=8)
    return {
        **of_trial(problem),
        VariBADSettings: {"memory": "gru", "buffer_size": kept, "elbo_batch": batch, **some},
    }


_COUNTED = {
    "reward_decoder": "next-state",
    "reward_likelihood": "bernoulli",
    "decoded_trial": "yoked",
}

_GRID = {
    **_COUNTED,
    "num_updates": 600,
    "gae_lambda": 0.99,
    "elbo_batch": 128,
    "decoder_size": 128,
}
"""Where to search in the first episode shows in the second: advantages have to look that far."""

_MOUNTAIN = {
    **_COUNTED,
    "kl_weight": 0.001,
    "decodes": "transitions",
    "num_tasks": 128,
    "num_minibatches": 8,
    "buffer_size": 2048,
    "elbo_updates": 4,
    "num_updates": 1500,
    "bonus_share": 0.6,
}
"""What the top shows is decoded, too: else beliefs hold the places alone where a treasure was ever met."""

_BELIEFS = Defaults(
    "tasks, λ and what is decoded by the length of a trial",
    {"grid-navigation": {VariBADSettings: _GRID}, "treasure-mountain": {VariBADSettings: _MOUNTAIN}},
    derive=_of_belief,
)

TRAINABLE: Mapping[str, Entry] = {
    "varibad": Entry(
        "adaptax.algorithms.belief.varibad:VariBAD",
        "VariBAD: a policy on a learned belief about the task; HyperX with --novelty-bonus",
        VariBADSettings,
        defaults=_BELIEFS,
        measured=("grid-navigation", "treasure-mountain"),
    ),
}
