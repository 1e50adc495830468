"""What gradient-based meta-learners share: one inner loop, one way to replay it, one outer loop."""

from adaptax.algorithms.gradient.inner_loop import Fast as Fast
from adaptax.algorithms.gradient.inner_loop import GradientBased as GradientBased
from adaptax.algorithms.gradient.inner_loop import Meta as Meta
from adaptax.algorithms.gradient.inner_loop import Replay as Replay
from adaptax.algorithms.gradient.inner_loop import Theta as Theta
from adaptax.algorithms.gradient.inner_loop import WholePolicy as WholePolicy
from adaptax.algorithms.gradient.outer_loop import Batch as Batch
from adaptax.algorithms.gradient.outer_loop import MetaGradient as MetaGradient
from adaptax.algorithms.gradient.outer_loop import fit_critic as fit_critic
from adaptax.algorithms.gradient.outer_loop import live as live
from adaptax.algorithms.gradient.outer_loop import report as report
