"""Past experience, in places that the newest takes from the oldest."""

import equinox as eqx
from jaxtyping import Array, Bool, Float, Int


class ReplayBuffer(eqx.Module):
    """The newest steps of experience; leaves `[capacity, ...]`.

    Attributes:
        before: Encoded observations.
        action: What was done.
        reward: What it brought.
        after: Encoded observations where it led.
        terminated: Whether nothing comes after it.
        count: Steps ever put in.
    """

    before: Float[Array, "capacity size"]
    action: Int[Array, " capacity"]
    reward: Float[Array, " capacity"]
    after: Float[Array, "capacity size"]
    terminated: Bool[Array, " capacity"]
    count: Int[Array, ""]
