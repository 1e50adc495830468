"""Settings that do not go together: one line that names both, before JAX is imported and anything is written."""

import json
import subprocess
import sys

import pytest

COMBINATIONS = """
rl2 bandit --num-tasks 10 --num-minibatches 4               | num_tasks num_minibatches
rl2 bandit --num-minibatches 1000                           | num_tasks num_minibatches
rl2 point-robot --memory symmetric                          | memory PointRobotSettings
rl2 bandit --initial-std 1                                  | initial_std BanditSettings
rl2 bandit --num-pulls 100000 --num-tasks 1000000           | num_tasks num_pulls
rl2 tabular-mdp --num-episodes 100000 --horizon 10000       | num_tasks num_episodes horizon
rl2 two-step --num-rounds 100000 --num-tasks 6400           | num_tasks num_rounds
rl2 tabular-mdp --num-states 1000 --num-actions 1000        | num_states num_actions
rl2 chain --length 1000                                     | horizon length
rl2 chain --horizon 7                                       | horizon length
maml bandit --learning-rate 0.1                             | learning_rate outer
maml bandit --max-gradient-norm 2                           | max_gradient_norm outer
maml bandit --num-epochs 2                                  | num_epochs outer
maml bandit --num-minibatches 2                             | num_minibatches outer
maml bandit --clip 0.1                                      | clip outer
maml bandit --outer ppo --max-kl 0.1                        | max_kl outer
maml bandit --outer gradient --cg-steps 5                   | cg_steps outer
maml bandit --outer gradient --clip 0.1                     | clip outer
maml bandit --outer gradient --num-epochs 3                 | num_epochs outer
maml bandit --critic-learning-rate 0.1                      | critic_learning_rate baseline
maml bandit --baseline none --critic-learning-rate 0.1      | critic_learning_rate baseline
maml bandit --outer ppo --num-tasks 10 --num-minibatches 3  | num_tasks num_minibatches
maml bandit --num-pulls 90                                  | num_pulls trajectories
maml bandit --trajectories 30                               | num_pulls trajectories
maml two-step                                               | TwoStepSettings trajectories
maml bandit --exploration-std 1                             | exploration_std BanditSettings
maml chain --initial-std 2                                  | initial_std ChainSettings
maml point-robot --exploration-std 0                        | exploration_decay exploration_std
maml cart-pole --exploration-decay 0.5                      | exploration_decay exploration_std
maml cart-pole --num-tasks 1000000                          | num_tasks trajectories horizon
off-policy-rl2 point-robot --learner q-learning             | learner PointRobotSettings
off-policy-rl2 bandit --learner q-learning --critic-size 8  | critic_size learner
off-policy-rl2 bandit --memory-layers 2                     | memory_layers memory
fomaml point-robot --num-episodes 50                        | num_episodes trajectories
promp bandit --num-tasks 7 --num-minibatches 2              | num_tasks num_minibatches
meta-lstm bandit --first-order --estimator dice             | estimator first_order
es-maml bandit --baseline value                             | baseline ESMAMLSettings
es-maml bandit --critic-learning-rate 0.5                   | critic_learning_rate baseline
reptile bandit --inner-steps 99 --num-tasks 1000000         | num_tasks trajectories inner_steps
dqn cart-pole --buffer-size 100                             | buffer_size learning_starts
dqn cart-pole --buffer-size 10 --learning-starts 5 --train-every 20 | buffer_size train_every
dqn cart-pole --train-every 7                               | train_every horizon
dqn point-robot                                             | DQNSettings PointRobotSettings
q-learning cart-pole                                        | QLearningSettings CartPoleSettings
sarsa tabular-mdp --knows-time --num-states 100 --num-actions 100 --horizon 10000 | knows_time horizon
reinforce cart-pole --streams 7                             | num_episodes streams
a2c cart-pole --num-steps 7                                 | num_steps horizon
a2c two-step --streams 2                                    | TwoStepSettings streams
ppo cart-pole --num-minibatches 7                           | num_minibatches streams
ppo bandit --initial-std 2                                  | initial_std BanditSettings
meta-gradient-rl bandit --learns weights --per-state        | per_state learns
multitask-ppo bandit --num-tasks 7 --num-minibatches 3      | num_tasks num_minibatches
multitask-ppo cart-pole --streams 1000000                   | num_tasks streams
finetuned-ppo cart-pole --num-episodes 605                  | num_episodes streams
meta-policy-gradient bandit --base-size 16                  | base_size base
meta-policy-gradient bandit --base-std 2                    | base_std base
meta-policy-gradient bandit --max-ratio 2                   | max_ratio base
meta-policy-gradient bandit --base a2c --base-baseline value | base_baseline base
meta-policy-gradient bandit --base-entropy-cost 0.1         | base_entropy_cost base
meta-policy-gradient bandit --base a2c --base-std 2         | base_std BanditSettings
meta-policy-gradient tabular-mdp --exploration-episodes 3   | num_episodes exploration_episodes
meta-policy-gradient tabular-mdp --replicas 1000000         | num_tasks replicas exploration_episodes
meta-policy-gradient bandit --explorer base --memory lstm   | memory explorer
meta-policy-gradient bandit --explorer base --memory-size 8 | memory_size explorer
meta-policy-gradient bandit --explorer base --clip 0.1      | clip explorer
ppo bandit --seeds 2                                        | --seeds ppo
"""
"""What is typed after `adaptax train`, and what the message must name."""
PROGRAM = """
import contextlib, io, json, os, sys
from adaptax.cli import main
answers = []
for words in json.loads(sys.argv[1]):
    text = io.StringIO()
    with contextlib.redirect_stderr(text), contextlib.suppress(SystemExit):
        main(["train", *words])
    answers.append([text.getvalue(), "jax" in sys.modules, os.listdir()])
print(json.dumps(answers))
"""


def combinations():
    lines = [line.partition("|") for line in COMBINATIONS.strip().splitlines()]
    return [(typed.split(), named.split()) for typed, _, named in lines]


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What the command line says to each, in one process that must not import JAX."""
    words = json.dumps([typed for typed, _ in combinations()])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, words],
        cwd=tmp_path_factory.mktemp("here"),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_there_are_enough():
    assert len({" ".join(typed) for typed, _ in combinations()}) >= 50


@pytest.mark.parametrize(
    ("number", "typed", "named"),
    [(number, *of) for number, of in enumerate(combinations())],
    ids=[" ".join(typed) for typed, _ in combinations()],
)
def test_both_are_named_before_anything_is_built(number, typed, named, answers):
    message, imported, files = answers[number]
    assert message.startswith("error[2]: ")
    assert message.count("\n") == 1
    for name in named:
        assert name in message, message
    assert not imported
    assert files == []
