"""Algorithms: meta-learners, and the classical agents that they are compared with."""

from adaptax.algorithms.classical.bandit_agents import UCB1 as UCB1
from adaptax.algorithms.classical.bandit_agents import EpsilonGreedy as EpsilonGreedy
from adaptax.algorithms.classical.bandit_agents import Greedy as Greedy
from adaptax.algorithms.classical.bandit_agents import MostLikelySampling as MostLikelySampling
from adaptax.algorithms.classical.bandit_agents import OptimisticThompsonSampling as OptimisticThompsonSampling
from adaptax.algorithms.classical.bandit_agents import ThompsonSampling as ThompsonSampling
from adaptax.algorithms.classical.bayes_optimal import BayesOptimalBandit as BayesOptimalBandit
from adaptax.algorithms.classical.bayes_optimal import BayesOptimalGrid as BayesOptimalGrid
from adaptax.algorithms.classical.gittins import Gittins as Gittins
from adaptax.algorithms.classical.random import Random as Random
from adaptax.algorithms.classical.tabular_agents import BEB as BEB
from adaptax.algorithms.classical.tabular_agents import PSRL as PSRL
from adaptax.algorithms.classical.tabular_agents import UCRL2 as UCRL2
from adaptax.algorithms.classical.tabular_agents import OptimisticPSRL as OptimisticPSRL
from adaptax.algorithms.classical.tabular_agents import TabularEpsilonGreedy as TabularEpsilonGreedy
from adaptax.algorithms.classical.tabular_agents import TabularGreedy as TabularGreedy
from adaptax.algorithms.gradient.anil import ANIL as ANIL
from adaptax.algorithms.gradient.cavia import CAVIA as CAVIA
from adaptax.algorithms.gradient.e_maml import EMAML as EMAML
from adaptax.algorithms.gradient.es_maml import ESMAML as ESMAML
from adaptax.algorithms.gradient.maml import FOMAML as FOMAML
from adaptax.algorithms.gradient.maml import MAML as MAML
from adaptax.algorithms.gradient.meta_lstm import MetaLSTM as MetaLSTM
from adaptax.algorithms.gradient.meta_sgd import MetaSGD as MetaSGD
from adaptax.algorithms.gradient.promp import ProMP as ProMP
from adaptax.algorithms.gradient.reptile import Reptile as Reptile
from adaptax.algorithms.memory.meta_policy_gradient import MetaPolicyGradient as MetaPolicyGradient
from adaptax.algorithms.memory.rl2 import RL2 as RL2
from adaptax.algorithms.standard_rl.a2c import A2C as A2C
from adaptax.algorithms.standard_rl.dqn import DQN as DQN
from adaptax.algorithms.standard_rl.meta_gradient_rl import MetaGradientRL as MetaGradientRL
from adaptax.algorithms.standard_rl.ppo import PPO as PPO
from adaptax.algorithms.standard_rl.ppo import MultiTaskPPO as MultiTaskPPO
from adaptax.algorithms.standard_rl.reinforce import Reinforce as Reinforce
from adaptax.algorithms.standard_rl.temporal_difference import SARSA as SARSA
from adaptax.algorithms.standard_rl.temporal_difference import QLearning as QLearning

__all__ = [
    "A2C",
    "ANIL",
    "BEB",
    "CAVIA",
    "DQN",
    "EMAML",
    "ESMAML",
    "FOMAML",
    "MAML",
    "PPO",
    "PSRL",
    "RL2",
    "SARSA",
    "UCB1",
    "UCRL2",
    "BayesOptimalBandit",
    "BayesOptimalGrid",
    "EpsilonGreedy",
    "Gittins",
    "Greedy",
    "MetaGradientRL",
    "MetaLSTM",
    "MetaPolicyGradient",
    "MetaSGD",
    "MostLikelySampling",
    "MultiTaskPPO",
    "OptimisticPSRL",
    "OptimisticThompsonSampling",
    "ProMP",
    "QLearning",
    "Random",
    "Reinforce",
    "Reptile",
    "TabularEpsilonGreedy",
    "TabularGreedy",
    "ThompsonSampling",
]
