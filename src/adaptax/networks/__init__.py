"""Networks: memories that take in experience, and heads that read them."""

from adaptax.networks.heads import Critic as Critic
from adaptax.networks.heads import Linear as Linear
from adaptax.networks.heads import PolicyHead as PolicyHead
from adaptax.networks.heads import Readout as Readout
from adaptax.networks.heads import ScoreHead as ScoreHead
from adaptax.networks.policies import MLP as MLP
from adaptax.networks.policies import Policy as Policy
from adaptax.networks.recurrent import Memoryless as Memoryless
from adaptax.networks.recurrent import Recurrent as Recurrent
from adaptax.networks.symmetric import Symmetric as Symmetric
