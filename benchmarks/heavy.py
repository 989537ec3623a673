"""A network as heavy as DELF's, with random weights: DELF's own can't be had from the package registries.

ResNet-50 up to ``conv4`` (1,024 channels, a place per 16 pixels), an attention head and a projection to 40 numbers, as
in Noh et al., "Large-Scale Image Retrieval with Attentive Deep Local Features", ICCV 2017, at DELF's image scales.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from recognition.extractors.delf import DIMENSION, SCALES

Tensor = Any
Network = Callable[[Tensor], Any]  # float32 [b, h, w, 3] -> [descriptors [b, h/16, w/16, 40], attention [..., 1]]


def build() -> keras.Model:
    """The network; its batch normalisations have statistics as if they had been trained."""
    keras.utils.set_random_seed(0)
    resnet = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(None, None, 3))
    maps = resnet.get_layer("conv4_block6_out").output
    attention = keras.layers.Conv2D(512, 1, activation="relu", name="attention1")(maps)
    attention = keras.layers.Conv2D(1, 1, activation="softplus", name="attention2")(attention)
    descriptors = keras.layers.Conv2D(DIMENSION, 1, name="projection")(maps)
    net = keras.Model(resnet.input, [descriptors, attention])
    rng = np.random.default_rng(0)
    for layer in net.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return net


class _Nothing(keras.layers.Layer):  # type: ignore[misc]  # keras has no type information
    """In a batch normalisation's place."""

    def call(self, inputs: Tensor, training: Any = None, mask: Any = None) -> Tensor:
        """What came in."""
        return inputs


def folded(net: keras.Model) -> keras.Model:
    """The same network, every batch normalisation made part of the convolution before it."""
    normalisations = {layer.name: layer for layer in net.layers if isinstance(layer, keras.layers.BatchNormalization)}

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name in normalisations:
            return _Nothing(name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    out = keras.models.clone_model(net, clone_function=copy)
    for layer in net.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, bias = layer.get_weights()
            after = normalisations.get(layer.name.removesuffix("conv") + "bn")
            if after is not None:
                gamma, beta, mean, variance = after.get_weights()
                factor = gamma / np.sqrt(variance + after.epsilon)
                kernel, bias = kernel * factor, (bias - mean) * factor + beta
            out.get_layer(layer.name).set_weights([kernel, bias])
    return out


def compiled(net: keras.Model, **options: Any) -> Network:
    """As a ``tf.function`` for every image size."""
    signature = [tf.TensorSpec([None, None, None, 3], tf.float32)]
    function: Network = tf.function(lambda images: net(images, training=False), input_signature=signature, **options)
    return function


def frozen(net: keras.Model) -> Network:
    """The compiled network with its variables made constants."""
    function: Network = convert_variables_to_constants_v2(compiled(net).get_concrete_function())  # type: ignore[attr-defined]
    return function


def pyramid(network: Network, images: Tensor) -> list[Any]:
    """What the network makes of float32 [b, h, w, 3] images at each of DELF's scales, one after another."""
    return [[part.numpy() for part in network(tf.image.resize(images, size))] for size in sizes(images)]


def sizes(images: Tensor) -> list[tuple[int, int]]:
    """(h, w) of images [b, h, w, 3] at each of DELF's scales."""
    height, width = images.shape[1:3]
    return [(round(height * scale), round(width * scale)) for scale in SCALES]


def graph(net: keras.Model, batch: int, height: int, width: int) -> Any:
    """The graph for one size, whose shapes are all known."""
    return (
        tf.function(lambda images: net(images, training=False))
        .get_concrete_function(tf.TensorSpec([batch, height, width, 3], tf.float32))
        .graph
    )
