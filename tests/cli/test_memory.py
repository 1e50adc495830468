import jax
import jax.numpy as jnp
import pytest

from adaptax.algorithms import MAML, RL2
from adaptax.cli import memory
from adaptax.errors import ResourceError


def compiled(gigabytes):
    numbers = int(gigabytes * 1e9 / 4)
    return jax.jit(lambda x: jnp.sum(jnp.cumsum(jnp.broadcast_to(x, (numbers,))))).lower(jnp.ones(())).compile()


def test_what_a_program_needs_is_what_its_arrays_take():
    small, large = (memory.needed_bytes(compiled(size), 1) for size in (0.1, 1.0))
    assert large >= 1e9
    assert large == pytest.approx(10 * small, rel=0.01)
    assert memory.needed_bytes(compiled(1.0), 2) == 2 * large


def test_what_fits_is_silent_and_what_does_not_is_told_what_to_lower(monkeypatch):
    algorithm = RL2(num_tasks=512, num_minibatches=16)
    memory.check(algorithm, 1)(compiled(0.1))
    needed = memory.needed_bytes(compiled(1.0), 1)
    monkeypatch.setattr(memory, "free_bytes", lambda: needed // 4)
    with pytest.raises(ResourceError, match=r"needs .* GB, .* GB are free; nothing was trained.*from 512 to 112"):
        memory.check(algorithm, 1)(compiled(1.0))


@pytest.mark.parametrize("share", [0.9, 0.5, 0.1, 0.02])
def test_advice_is_a_setting_that_is_allowed_and_small_enough(share):
    for algorithm in (RL2(), MAML()):
        advice = memory.advice(algorithm, share)
        if "from" in advice:
            fewer = int(advice.rsplit(" ", 1)[1])
            assert fewer <= share * algorithm.num_tasks
            type(algorithm)(num_tasks=fewer)


def test_free_memory_of_this_machine_is_known():
    assert memory.free_bytes() > 10**8
