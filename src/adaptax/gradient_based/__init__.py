"""What gradient-based meta-learners share: one inner loop, one way to replay it, one outer loop."""

from adaptax.gradient_based.inner_loop import Fast as Fast
from adaptax.gradient_based.inner_loop import GradientBased as GradientBased
from adaptax.gradient_based.inner_loop import Meta as Meta
from adaptax.gradient_based.inner_loop import Replay as Replay
from adaptax.gradient_based.inner_loop import Theta as Theta
from adaptax.gradient_based.inner_loop import WholePolicy as WholePolicy
from adaptax.gradient_based.outer_loop import Batch as Batch
from adaptax.gradient_based.outer_loop import MetaGradient as MetaGradient
from adaptax.gradient_based.outer_loop import fit_critic as fit_critic
from adaptax.gradient_based.outer_loop import live as live
from adaptax.gradient_based.outer_loop import report as report
