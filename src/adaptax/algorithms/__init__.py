"""Algorithms: meta-learners, and the classical agents that they are compared with."""

from adaptax.algorithms.a2c import A2C as A2C
from adaptax.algorithms.anil import ANIL as ANIL
from adaptax.algorithms.bandit_agents import UCB1 as UCB1
from adaptax.algorithms.bandit_agents import EpsilonGreedy as EpsilonGreedy
from adaptax.algorithms.bandit_agents import Greedy as Greedy
from adaptax.algorithms.bandit_agents import MostLikelySampling as MostLikelySampling
from adaptax.algorithms.bandit_agents import OptimisticThompsonSampling as OptimisticThompsonSampling
from adaptax.algorithms.bandit_agents import ThompsonSampling as ThompsonSampling
from adaptax.algorithms.bayes_optimal import BayesOptimalBandit as BayesOptimalBandit
from adaptax.algorithms.bayes_optimal import BayesOptimalGrid as BayesOptimalGrid
from adaptax.algorithms.cavia import CAVIA as CAVIA
from adaptax.algorithms.dqn import DQN as DQN
from adaptax.algorithms.e_maml import EMAML as EMAML
from adaptax.algorithms.es_maml import ESMAML as ESMAML
from adaptax.algorithms.gittins import Gittins as Gittins
from adaptax.algorithms.maml import FOMAML as FOMAML
from adaptax.algorithms.maml import MAML as MAML
from adaptax.algorithms.meta_gradient_rl import MetaGradientRL as MetaGradientRL
from adaptax.algorithms.meta_lstm import MetaLSTM as MetaLSTM
from adaptax.algorithms.meta_policy_gradient import MetaPolicyGradient as MetaPolicyGradient
from adaptax.algorithms.meta_sgd import MetaSGD as MetaSGD
from adaptax.algorithms.ppo import PPO as PPO
from adaptax.algorithms.ppo import MultiTaskPPO as MultiTaskPPO
from adaptax.algorithms.promp import ProMP as ProMP
from adaptax.algorithms.random import Random as Random
from adaptax.algorithms.reinforce import Reinforce as Reinforce
from adaptax.algorithms.reptile import Reptile as Reptile
from adaptax.algorithms.rl2 import RL2 as RL2
from adaptax.algorithms.tabular_agents import BEB as BEB
from adaptax.algorithms.tabular_agents import PSRL as PSRL
from adaptax.algorithms.tabular_agents import UCRL2 as UCRL2
from adaptax.algorithms.tabular_agents import OptimisticPSRL as OptimisticPSRL
from adaptax.algorithms.tabular_agents import TabularEpsilonGreedy as TabularEpsilonGreedy
from adaptax.algorithms.tabular_agents import TabularGreedy as TabularGreedy
from adaptax.algorithms.temporal_difference import SARSA as SARSA
from adaptax.algorithms.temporal_difference import QLearning as QLearning

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
