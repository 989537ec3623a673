"""The benchmarks' count of operations: by hand, from XFeat's table of layers, and from TensorFlow's graph."""

from __future__ import annotations

import pytest

from benchmarks import flops
from recognition.extractors.xfeat import WEIGHTS, read_arrays


def test_a_convolution_by_hand() -> None:
    """3 x 3, 5 channels to 7, on 2 images of 4 x 6 places: 45 multiplications and additions per number."""
    assert flops.of_convolution((2, 4, 6, 7), (3, 3, 5, 7)) == 2 * (2 * 4 * 6 * 7) * (3 * 3 * 5)


def test_a_depthwise_convolution_by_hand() -> None:
    """Each of 5 channels has its own 9 numbers."""
    assert flops.of_convolution((1, 4, 6, 5), (3, 3, 5, 1)) == 2 * (4 * 6 * 5) * 9


@pytest.mark.tensorflow
def test_graphs_of_single_operations() -> None:
    import tensorflow as tf

    @tf.function  # type: ignore[untyped-decorator]
    def both(images: tf.Tensor, matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        maps = tf.nn.conv2d(images, tf.ones((3, 3, 5, 7)), strides=2, padding="SAME")
        return tf.nn.relu(maps), tf.matmul(matrix, matrix, transpose_a=True)

    graph = both.get_concrete_function(tf.TensorSpec([2, 8, 12, 5]), tf.TensorSpec([9, 9])).graph
    assert flops.of_graph(graph) == 2 * (2 * 4 * 6 * 7) * 45 + 2 * 9**3


@pytest.mark.tensorflow
def test_the_table_of_layers_and_the_graph_agree() -> None:
    import tensorflow as tf

    from recognition.extractors import xfeat_net

    net = xfeat_net.build(read_arrays(WEIGHTS))
    graph = tf.function(net).get_concrete_function(tf.TensorSpec([1, 96, 160, 1])).graph
    assert flops.of_xfeat(96, 160) == flops.of_graph(graph) > 0
