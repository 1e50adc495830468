"""Problem families. Every name in `__all__` is a factory whose keyword arguments are the family's options.

`informed` makes a problem of any other: the same one, as seen by a policy that knows the task.
"""

from .bandit import BernoulliBandit as BernoulliBandit
from .bandit import bernoulli_bandit as bernoulli_bandit
from .cart_pole import CartPole as CartPole
from .cart_pole import cart_pole as cart_pole
from .chain import Chain as Chain
from .chain import chain as chain
from .correlated_bandit import correlated_bandit as correlated_bandit
from .cue import Cue as Cue
from .cue import cue as cue
from .gaussian_bandit import GaussianBandit as GaussianBandit
from .gaussian_bandit import gaussian_bandit as gaussian_bandit
from .grid_navigation import GridNavigation as GridNavigation
from .grid_navigation import grid_navigation as grid_navigation
from .point_robot import PointRobot as PointRobot
from .point_robot import point_robot as point_robot
from .point_robot import point_robot_sparse as point_robot_sparse
from .tabular import TabularMDP as TabularMDP
from .tabular import tabular_mdp as tabular_mdp
from .task_informed import Informed as Informed
from .task_informed import informed as informed
from .two_step import TwoStep as TwoStep
from .two_step import two_step as two_step

__all__ = [
    "bernoulli_bandit",
    "cart_pole",
    "chain",
    "correlated_bandit",
    "cue",
    "gaussian_bandit",
    "grid_navigation",
    "point_robot",
    "point_robot_sparse",
    "tabular_mdp",
    "two_step",
]
