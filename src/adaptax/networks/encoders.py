"""What reads observations before anything else does: convolutions over images, or an encoder of one's own.

An encoder maps encoded observations (`Space.encode`, normalised where that is asked for) to features, and is learned
with the network that reads them. By name or `MODULE:NAME` it is a function of the observation space and a key; what it
returns is an `equinox.Module` that is called with one observation (an array of the space's shape; of composite spaces
the vector of all features) and returns one vector.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from adaptax.core.composite_spaces import Encoded
from adaptax.core.errors import UseError
from adaptax.core.spaces import Box, Space
from adaptax.networks.heads import Linear

CHANNELS = (16, 32)
"""Of the two convolutions, as in the small network of Mnih et al. 2015."""
IMAGE_SIZE = 64
"""Features of an image."""
AUTOMATIC = "auto"
NO_ENCODER = "none"

Factory = Callable[[Space, Key[Array, ""]], Any]
ENCODERS: dict[str, Factory] = {}
"""Encoders of one's own by name; `adaptax.registry` enters those that are named MODULE:NAME."""


class Convolution(eqx.Module):
    """A convolution of one channel axis, last: patches of `width`² at every `stride`-th place, by a dense product.

    Shifted slices and a product are faster on a CPU than XLA's convolution, where images are small.

    Attributes:
        layer: From a patch to output channels.
        width: Of a patch.
        stride: Between patches.
    """

    layer: Linear
    width: int = eqx.field(static=True)
    stride: int = eqx.field(static=True)

    def __init__(self, channels: int, outputs: int, width: int, stride: int, key: Key[Array, ""]):
        self.layer = Linear(width * width * channels, outputs, 2.0**0.5, key)
        self.width, self.stride = width, stride

    def __call__(self, image: Float[Array, "*batch height width channels"]) -> Float[Array, "*batch rows columns out"]:
        """Apply it, with nothing beyond the edges."""
        rows, columns = (1 + (image.shape[axis] - self.width) // self.stride for axis in (-3, -2))
        patches = [
            image[
                ...,
                i : i + (rows - 1) * self.stride + 1 : self.stride,
                j : j + (columns - 1) * self.stride + 1 : self.stride,
                :,
            ]
            for i in range(self.width)
            for j in range(self.width)
        ]
        return self.layer(jnp.concatenate(patches, -1))


class ImageEncoder(eqx.Module):
    """Two convolutions and a dense layer: from an image to features.

    Attributes:
        convolutions: The convolutions, each followed by a ReLU.
        out: The dense layer, likewise.
    """

    convolutions: tuple[Convolution, ...]
    out: Linear

    def __init__(self, shape: tuple[int, ...], key: Key[Array, ""]):
        height, width, channels = shape
        keys = jax.random.split(key, len(CHANNELS) + 1)
        layers = []
        for outputs, k in zip(CHANNELS, keys[1:], strict=True):
            # Large images are seen coarsely, small ones whole.
            smallest = min(height, width)
            size, stride = (4, 4) if smallest >= 40 else (3, 2) if smallest >= 9 else (min(3, smallest), 1)
            layers.append(Convolution(channels, outputs, size, stride, k))
            height, width, channels = 1 + (height - size) // stride, 1 + (width - size) // stride, outputs
        self.convolutions = tuple(layers)
        self.out = Linear(height * width * channels, IMAGE_SIZE, 2.0**0.5, keys[0])

    def __call__(self, image: Float[Array, "*batch height width channels"]) -> Float[Array, "*batch features"]:
        """Features of images with any batch axes."""
        for convolution in self.convolutions:
            image = jax.nn.relu(convolution(image))
        return jax.nn.relu(self.out(image.reshape(*image.shape[:-3], -1)))


class Encoder(eqx.Module):
    """From encoded observations to features.

    Attributes:
        parts: Of each image among the features, its encoder; or one encoder of one's own for all there is.
        space: The observation space.
        size: Length of what is put out.
    """

    parts: tuple[Any, ...]
    space: Space = eqx.field(static=True)
    size: int = eqx.field(static=True)
    own: bool = eqx.field(static=True)

    def __call__(self, x: Float[Array, "*batch encoded_size"]) -> Float[Array, "*batch size"]:
        """Features of encoded observations, for any batch axes."""
        if self.own:
            one = x.reshape(-1, *(self.space.shape if _whole(self.space) else x.shape[-1:]))
            return jax.vmap(self.parts[0])(one).reshape(*x.shape[:-1], self.size)
        pieces, end = [], 0
        for encoder, (start, shape) in zip(self.parts, self.space.images, strict=True):
            size = math.prod(shape)
            image = x[..., start : start + size].reshape(*x.shape[:-1], *shape)
            pieces += [x[..., end:start], encoder(image)]
            end = start + size
        return jnp.concatenate([*pieces, x[..., end:]], -1)


def make_encoder(name: str, space: Space, key: Key[Array, ""]) -> Encoder | None:
    """The encoder of a setting; None if networks read encoded observations as they are.

    Args:
        name: "auto": convolutions where there are images; "none"; or one that `ENCODERS` has.
        space: The observation space.
        key: Decides the weights.

    Raises:
        UseError: if there is none of that name, or one's own does not return a vector.
    """
    if isinstance(space, Encoded) and not space.more:
        space = space.of  # what a user's own encoder expects, and the shape of it
    if name == NO_ENCODER or (name == AUTOMATIC and not space.images):
        return None
    if name == AUTOMATIC:
        keys = jax.random.split(key, len(space.images))
        parts = tuple(ImageEncoder(shape, k) for (_, shape), k in zip(space.images, keys, strict=True))
        others = space.encoded_size - sum(math.prod(shape) for _, shape in space.images)
        return Encoder(parts, space, others + IMAGE_SIZE * len(parts), False)
    if name not in ENCODERS:
        raise UseError(f"encoder: expected auto, none or MODULE:NAME; found {name!r}")
    module = ENCODERS[name](space, key)
    one = jax.ShapeDtypeStruct(space.shape if _whole(space) else (space.encoded_size,), jnp.float32)
    found = jax.eval_shape(module, one)
    if len(getattr(found, "shape", ())) != 1:
        raise UseError(
            f"encoder {name}: expected a function of one observation, float32 of shape {one.shape}, that returns a "
            f"vector; it returns {found}"
        )
    return Encoder((module,), space, int(found.shape[0]), True)


def read_space(encoder: Encoder | None, space: Space) -> Space:
    """What the rest of a network reads: the space itself, or an encoder's features."""
    return space if encoder is None else Box((encoder.size,))


def _whole(space: Space) -> bool:
    """Whether all features together have the space's own shape."""
    return bool(space.shape) and int(np.prod(space.shape)) == space.encoded_size
