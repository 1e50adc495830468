import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from adaptax import algorithms
from adaptax.core.algorithm import FromScratch
from adaptax.core.composite_spaces import Dict, Encoded, Image
from adaptax.core.errors import UseError
from adaptax.core.spaces import Box, Discrete
from adaptax.networks.encoders import ENCODERS, Convolution, ImageEncoder, make_encoder, read_space
from tests.shops import shops

KEY = jax.random.key(0)


@pytest.mark.parametrize(("size", "width", "stride"), [((7, 9), 3, 2), ((6, 6), 4, 1), ((8, 4), 4, 4), ((3, 3), 3, 1)])
def test_a_convolution_is_that_of_xla(size, width, stride):
    layer = Convolution(2, 5, width, stride, KEY)
    image = jax.random.normal(jax.random.key(1), (3, *size, 2))
    kernel = layer.layer.weight.reshape(width, width, 2, 5)
    wanted = jax.lax.conv_general_dilated(
        image, kernel, (stride, stride), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(layer(image), wanted + layer.layer.bias.reshape(1, 1, 1, -1), atol=1e-5)


@pytest.mark.parametrize("shape", [(84, 84, 1), (64, 40, 3), (9, 12, 3), (5, 5, 2), (2, 3, 1), (1, 1, 1)])
def test_images_of_all_sizes_are_read(shape):
    images = jax.random.normal(jax.random.key(1), (2, 3, *shape))

    @jax.jit
    def both():
        encoder = ImageEncoder(shape, KEY)
        return encoder(images), encoder(images[1, 2])

    found, alone = both()
    np.testing.assert_allclose(found[1, 2], alone, atol=1e-5)
    assert found.shape[:2] == (2, 3)
    assert 0 < float(found.std()) < 10


def test_only_the_images_among_the_features_go_through_convolutions():
    space = Dict({"a": Box((2,)), "picture": Image((5, 5, 1)), "z": Discrete(3)})
    encoder = make_encoder("auto", Encoded(space, 1), KEY)
    x = jax.random.uniform(jax.random.key(1), (4, 31))
    found = encoder(x)
    assert found.shape == (4, encoder.size)
    np.testing.assert_array_equal(found[:, :2], x[:, :2])
    np.testing.assert_array_equal(found[:, -4:], x[:, -4:])
    np.testing.assert_allclose(found[:, 2:-4], encoder.parts[0](x[:, 2:27].reshape(4, 5, 5, 1)), atol=1e-6)
    assert read_space(encoder, space) == Box((encoder.size,))


def test_without_images_there_is_nothing_to_encode():
    for space in (Box((3,)), Discrete(4), Dict({"a": Box((2,))})):
        assert make_encoder("auto", space, KEY) is None
        assert read_space(None, space) is space
    assert make_encoder("none", Image((5, 5, 1)), KEY) is None


@pytest.fixture
def own(request):
    ENCODERS["own"] = request.param
    yield
    del ENCODERS["own"]


def rows(space, key):
    return lambda image: image.mean(0)[:, 0]


@pytest.mark.parametrize("own", [rows], indirect=True)
def test_ones_own_sees_one_observation_in_its_own_shape(own):
    encoder = make_encoder("own", Image((4, 3, 1)), KEY)
    assert encoder.size == 3
    x = jax.random.uniform(KEY, (2, 5, 12))
    np.testing.assert_allclose(encoder(x), x.reshape(2, 5, 4, 3).mean(2), atol=1e-6)


def vectors(space, key):
    return eqx.nn.Linear(space.encoded_size, 4, key=key)


@pytest.mark.parametrize("own", [vectors], indirect=True)
@pytest.mark.parametrize("space", [Dict({"a": Box((2,)), "b": Discrete(3)}), Discrete(5), Box((5,))])
def test_or_the_vector_of_its_features(own, space):
    assert make_encoder("own", space, KEY)(jnp.ones((3, 5))).shape == (3, 4)


@pytest.mark.parametrize("own", [lambda space, key: lambda x: x.sum()], indirect=True)
def test_what_returns_no_vector_is_refused(own):
    with pytest.raises(UseError, match="returns a vector"):
        make_encoder("own", Box((3,)), KEY)


def test_unknown_names_are_refused():
    with pytest.raises(UseError, match="auto, none or MODULE:NAME"):
        make_encoder("unheard-of", Box((3,)), KEY)


@pytest.mark.parametrize("name", ["RL2", "MAML", "PPO", "DQN", "MultiTaskPPO"])
def test_E1d_the_setting_changes_the_network(name):
    problem, kind = shops(pictures=True), getattr(algorithms, name)

    def described(encoder):
        algorithm = kind(encoder=encoder)
        if isinstance(algorithm, FromScratch):
            begun = jax.eval_shape(lambda key: algorithm.begin(algorithm.describe(problem), key), KEY)
        else:
            begun = jax.eval_shape(lambda key: algorithm.init(problem, key).meta, KEY)
        return sorted(x.shape for x in jax.tree.leaves(begun))

    assert described("auto") != described("none")
