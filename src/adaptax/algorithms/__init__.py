"""Algorithms: meta-learners, and the classical agents that they are compared with."""

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
from adaptax.algorithms.e_maml import EMAML as EMAML
from adaptax.algorithms.es_maml import ESMAML as ESMAML
from adaptax.algorithms.gittins import Gittins as Gittins
from adaptax.algorithms.maml import FOMAML as FOMAML
from adaptax.algorithms.maml import MAML as MAML
from adaptax.algorithms.meta_lstm import MetaLSTM as MetaLSTM
from adaptax.algorithms.meta_sgd import MetaSGD as MetaSGD
from adaptax.algorithms.promp import ProMP as ProMP
from adaptax.algorithms.random import Random as Random
from adaptax.algorithms.reptile import Reptile as Reptile
from adaptax.algorithms.rl2 import RL2 as RL2
from adaptax.algorithms.tabular_agents import BEB as BEB
from adaptax.algorithms.tabular_agents import PSRL as PSRL
from adaptax.algorithms.tabular_agents import UCRL2 as UCRL2
from adaptax.algorithms.tabular_agents import OptimisticPSRL as OptimisticPSRL
from adaptax.algorithms.tabular_agents import TabularEpsilonGreedy as TabularEpsilonGreedy
from adaptax.algorithms.tabular_agents import TabularGreedy as TabularGreedy

__all__ = [
    "ANIL",
    "BEB",
    "CAVIA",
    "EMAML",
    "ESMAML",
    "FOMAML",
    "MAML",
    "PSRL",
    "RL2",
    "UCB1",
    "UCRL2",
    "BayesOptimalBandit",
    "BayesOptimalGrid",
    "EpsilonGreedy",
    "Gittins",
    "Greedy",
    "MetaLSTM",
    "MetaSGD",
    "MostLikelySampling",
    "OptimisticPSRL",
    "OptimisticThompsonSampling",
    "ProMP",
    "Random",
    "Reptile",
    "TabularEpsilonGreedy",
    "TabularGreedy",
    "ThompsonSampling",
]
