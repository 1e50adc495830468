"""Networks: memories that take in experience, and heads that read them."""

from adaptax.networks.encoders import Encoder as Encoder
from adaptax.networks.heads import Critic as Critic
from adaptax.networks.heads import Linear as Linear
from adaptax.networks.heads import PolicyHead as PolicyHead
from adaptax.networks.heads import Readout as Readout
from adaptax.networks.heads import ScoreHead as ScoreHead
from adaptax.networks.heads import SoftPolicyHead as SoftPolicyHead
from adaptax.networks.memory.base import Memory as Memory
from adaptax.networks.memory.base import MemorySizes as MemorySizes
from adaptax.networks.memory.base import Seen as Seen
from adaptax.networks.memory.counting import Counting as Counting
from adaptax.networks.memory.recurrent import Memoryless as Memoryless
from adaptax.networks.memory.recurrent import Recurrent as Recurrent
from adaptax.networks.memory.symmetric import Symmetric as Symmetric
from adaptax.networks.mlp import MLP as MLP
from adaptax.networks.mlp import Policy as Policy
