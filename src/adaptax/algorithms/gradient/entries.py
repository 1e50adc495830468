"""Gradient-based meta-learners by name, and where they start on each problem; no JAX."""

from collections.abc import Mapping

from adaptax.algorithms.gradient.settings import (
    ANILSettings,
    CAVIASettings,
    EMAMLSettings,
    ESMAMLSettings,
    FOMAMLSettings,
    InnerSettings,
    MAMLSettings,
    MetaLSTMSettings,
    MetaSGDSettings,
    PPOSettings,
    ProMPSettings,
    ReptileSettings,
)
from adaptax.core.entry import Changes, Defaults, Entry
from adaptax.core.settings import Settings, as_many_as_fit, episodes_of, horizon_of

MOST_STEPS = 200_000
"""Environment steps in an update, at most, where the number of tasks is derived."""
LONG_EPISODE = 50
"""Steps from which on a critic's foresight is worth its bias: λ below 1."""


def _derived(problem: Settings) -> Changes:
    """What a problem's size says: windows, tasks, and how large steps are (docs/methods.md has the table)."""
    episodes, horizon = episodes_of(problem)[1], horizon_of(problem)
    trajectories = min(20, episodes // 2) if episodes > 1 else 20  # a trial of one episode is refused
    inner_steps = max(1, min(3, episodes // trajectories - 1))
    tasks = as_many_as_fit(40, 8, MOST_STEPS, (inner_steps + 1) * trajectories * horizon)
    both_signs = as_many_as_fit(40, 8, MOST_STEPS, 2 * (inner_steps + 1) * trajectories * horizon)
    shared: dict[str, object] = {
        "trajectories": trajectories,
        "inner_steps": inner_steps,
        "num_tasks": tasks,
        "gae_lambda": 0.95 if horizon >= LONG_EPISODE else 1.0,
    }
    if not problem.discrete_states:
        shared["normalize_observations"] = True  # they may be of any scale
    return {
        InnerSettings: shared | (_IN_SPACE if problem.continuous_actions else {"inner_learning_rate": 1.0}),
        PPOSettings: {"objective": "every-step"},
        EMAMLSettings: {"score_weight": float(f"{2 / (trajectories * horizon):.2g}")},
        ESMAMLSettings: {"num_tasks": both_signs},
    }


_IN_SPACE = {
    "hidden_size": 32,
    "initial_std": 0.7,
    "exploration_std": 1.5,
    "exploration_decay": 0.35,
    "inner_decay": 0.2,
}
"""Who stays near the start finds out where the goal lies, but not how far: explorers need noise. And a gradient is as
large as the deviation is small, so as that shrinks, inner steps must."""
_FIVE_WINDOWS: Changes = {InnerSettings: {"inner_steps": 4, "num_updates": 80}}
"""100 episodes of 1 step: five windows of 20. Short episodes have small gradients."""
_LINEAR = {"num_layers": 0, "inner_learning_rate": 5.0, "inner_decay": 0.3, "exploration_decay": 0.6}
"""Where no gradient tells a network to be easy to adapt, a linear policy is: its steps must only be long enough."""
_PLANE: Changes = {
    InnerSettings: {"num_tasks": 20, "num_updates": 60, "normalize_observations": False},
    FOMAMLSettings: _LINEAR | {"num_updates": 100},
    EMAMLSettings: _LINEAR | {"inner_decay": 0.27, "exploration_decay": 0.5, "num_updates": 80},
    ReptileSettings: _LINEAR | {"num_updates": 300},
    ESMAMLSettings: {
        "num_layers": 0,
        "inner_learning_rate": 3.0,
        "inner_decay": 0.3,
        "learning_rate": 0.1,
        "num_tasks": 40,
        "num_updates": 150,
    },
    ProMPSettings: {"learning_rate": 5e-3},
    MAMLSettings: {"inner_decay": 0.12},
    ANILSettings: {"inner_learning_rate": 2.0, "inner_decay": 0.25, "exploration_decay": 0.5},
}

"""Episodes that reach the goal end, and an inner loss is a mean over the steps that there were: later steps are longer
than their rate says, and overshoot sooner. Sparse ones never end."""

_WINDOWS = Defaults(
    "windows of 20 episodes",
    {
        "bandit": _FIVE_WINDOWS,
        "gaussian-bandit": _FIVE_WINDOWS,
        "correlated-bandit": _FIVE_WINDOWS,
        "point-robot": _PLANE,
        "point-robot-sparse": {**_PLANE, MAMLSettings: {}},
    },
    {f"metaworld-{name}": {"num_episodes": 20} for name in ("ml1", "ml10", "ml25", "ml45")},
    num_episodes=80,
    derive=_derived,
)
"""A trial is as long as the windows of adaptation that an evaluation shows: 80 episodes are 0 to 3 steps on 20 each.
Meta-World's protocol adapts once, to 10."""

_NO_GAIN = (
    "arms are exchangeable, so the best-known arm after a gradient step is the same whatever the step starts from and "
    "however long it is; an untrained network knows as much (docs/results.md)"
)
_ON_BANDITS = dict.fromkeys(("bandit", "gaussian-bandit", "correlated-bandit"), _NO_GAIN)
"""`benchmarks/steps_on_bandits.py` tries all lengths. A context is another matter: CAVIA's begins with nothing."""

_UNLEARNS = (
    "one gradient step of an untrained network recalls the cue already, and without second derivatives training makes "
    "it worse (docs/results.md)"
)

_HERE = "adaptax.algorithms.gradient"

TRAINABLE: Mapping[str, Entry] = {
    "maml": Entry(
        f"{_HERE}.maml:MAML",
        "MAML, gradients through learning (Finn et al. 2017)",
        MAMLSettings,
        defaults=_WINDOWS,
        measured=("tabular-mdp", "point-robot"),
        gains_nothing=_ON_BANDITS,
    ),
    "fomaml": Entry(
        f"{_HERE}.maml:FOMAML",
        "first-order MAML (Finn et al. 2017)",
        FOMAMLSettings,
        defaults=_WINDOWS,
        measured=("point-robot",),
        gains_nothing=_ON_BANDITS | {"cue": _UNLEARNS},
    ),
    "reptile": Entry(
        f"{_HERE}.reptile:Reptile",
        "Reptile (Nichol et al. 2018)",
        ReptileSettings,
        defaults=_WINDOWS,
        measured=("point-robot", "cue"),
        gains_nothing=_ON_BANDITS,
    ),
    "meta-sgd": Entry(
        f"{_HERE}.meta_sgd:MetaSGD",
        "MAML with a learned rate per weight (Li et al. 2017)",
        MetaSGDSettings,
        defaults=_WINDOWS,
        gains_nothing=_ON_BANDITS,
    ),
    "meta-lstm": Entry(
        f"{_HERE}.meta_lstm:MetaLSTM",
        "a learned update rule (Ravi & Larochelle 2017)",
        MetaLSTMSettings,
        defaults=_WINDOWS,
        besides={"first_order": False},  # TRPO's line search soon refuses steps along first-order gradients
        measured=("point-robot",),
        gains_nothing=_ON_BANDITS,
    ),
    "cavia": Entry(
        f"{_HERE}.cavia:CAVIA",
        "adapts a context vector (Zintgraf et al. 2019)",
        CAVIASettings,
        defaults=_WINDOWS,
        measured=("bandit", "gaussian-bandit"),
        gains_nothing={"correlated-bandit": "its untrained self is at the optimum there (docs/results.md)"},
    ),
    "anil": Entry(
        f"{_HERE}.anil:ANIL",
        "adapts the last layer (Raghu et al. 2020)",
        ANILSettings,
        defaults=_WINDOWS,
        gains_nothing=_ON_BANDITS,
    ),
    "e-maml": Entry(
        f"{_HERE}.e_maml:EMAML",
        "MAML that pays explorers (Stadie et al. 2018)",
        EMAMLSettings,
        defaults=_WINDOWS,
        measured=("point-robot",),
        gains_nothing=_ON_BANDITS,
    ),
    "promp": Entry(
        f"{_HERE}.promp:ProMP",
        "proximal meta-policy search (Rothfuss et al. 2019)",
        ProMPSettings,
        defaults=_WINDOWS,
        measured=("point-robot",),
        gains_nothing=_ON_BANDITS,
    ),
    "es-maml": Entry(
        f"{_HERE}.es_maml:ESMAML",
        "evolution strategies on the adapted return (Song et al. 2020)",
        ESMAMLSettings,
        defaults=_WINDOWS,
        measured=("point-robot", "cue"),
        gains_nothing=_ON_BANDITS,
    ),
}
