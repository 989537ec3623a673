"""A small module in the very layout of google/delf/1: TF1 format, no tags, signature ``default``.

Its features are real, if humbler than DELF's: corners (smaller eigenvalue of the structure tensor against
``score_threshold``) at several image scales, each described by 4x4 cells of 8 gradient orientations that a fixed
random variable projects to 40 numbers. Copies and mild changes of a photograph match.

Built in a process of its own: TF1's graph mode is switched on for a whole process, and a test process that
only starts workers need not load TensorFlow.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HANDLE = "https://tfhub.dev/google/delf/1"
DIMENSION = 40
ORIENTATIONS = 8
CELL = 4  # pixels
CELL_CENTRES = (-6, -2, 2, 6)  # pixels from the corner
BORDER = 8  # pixels without corners, because their patch would leave the image


def build_delf_module(path: Path) -> Path:
    """Write the module to the folder ``path`` (which must not exist yet) and return it."""
    done = subprocess.run([sys.executable, __file__, str(path)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the DELF-like module could not be built:\n{done.stderr}")
    return path


def preload_cache(cache_dir: Path, handle: str = HANDLE, module: Path | None = None) -> Path:
    """Lay a module (``module``, or a new one) out as tensorflow_hub would after fetching ``handle``; its folder."""
    folder = cache_dir / hashlib.sha1(handle.encode()).hexdigest()
    cache_dir.mkdir(parents=True, exist_ok=True)
    if module is None:
        build_delf_module(folder)
    else:
        shutil.copytree(module, folder)
    folder.with_name(f"{folder.name}.descriptor.txt").write_text(f"Module: {handle}\n")
    return folder


def _structure(tf: Any, grey: Any) -> tuple[Any, Any, Any]:
    """Of grey [1, h, w, 1] in 0..255: gradients dy, dx [1, h, w, 1] and the corner score [1, h, w, 1]."""
    padded = tf.pad(grey, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="SYMMETRIC")
    dy = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2.0
    dx = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2.0
    products = tf.nn.avg_pool2d(tf.concat([dy * dy, dx * dx, dy * dx], axis=3), 5, 1, "SAME")
    yy, xx, yx = tf.split(products, 3, axis=3)
    score = (yy + xx) / 2.0 - tf.sqrt(tf.square(yy - xx) / 4.0 + tf.square(yx))
    return dy, dx, score


def _cells(tf: Any, dy: Any, dx: Any) -> Any:
    """Gradient energy by orientation around each pixel: [h, w, 8]."""
    angles = [2 * 3.141592653589793 * k / ORIENTATIONS for k in range(ORIENTATIONS)]
    along = dy * tf.sin(tf.constant(angles)) + dx * tf.cos(tf.constant(angles))
    length = tf.sqrt(dy * dy + dx * dx + 1e-6)
    return tf.nn.avg_pool2d(tf.square(tf.nn.relu(along)) / length, CELL, 1, "SAME")[0]


def _corners(tf: Any, score: Any, threshold: Any) -> Any:
    """Local maxima of the score above the threshold, off the border: int32 [n, 2] as (y, x)."""
    peak = tf.equal(score, tf.nn.max_pool2d(score, 5, 1, "SAME")) & (score > threshold)
    found = tf.cast(tf.where(peak[0, :, :, 0]), tf.int32)
    inside = tf.reduce_all((found >= BORDER) & (found < tf.shape(score)[1:3] - BORDER), axis=1)
    return tf.boolean_mask(found, inside)


def _at_scale(tf: Any, grey: Any, scale: Any, threshold: Any, projection: Any) -> tuple[Any, Any, Any]:
    """Locations [n, 2] in the image's pixels, descriptors [n, 40] and scores [n] at one image scale."""
    size = tf.cast(tf.shape(grey)[1:3], tf.float32)
    seen = tf.maximum(tf.cast(tf.round(size * scale), tf.int32), 1)
    dy, dx, score = _structure(tf, tf.image.resize(grey, seen, antialias=True))
    corners = _corners(tf, score, threshold)
    offsets = tf.constant([[y, x] for y in CELL_CENTRES for x in CELL_CENTRES])
    patches = tf.gather_nd(_cells(tf, dy, dx), corners[:, None] + offsets[None])  # [n, 16, 8]
    flat = tf.reshape(patches, [-1, len(CELL_CENTRES) ** 2 * ORIENTATIONS])
    centred = flat - tf.reduce_mean(flat, axis=1, keepdims=True)  # or all patches would look alike
    descriptors = tf.math.l2_normalize(tf.matmul(centred, projection), axis=1)
    locations = (tf.cast(corners, tf.float32) + 0.5) * size / tf.cast(seen, tf.float32) - 0.5
    return locations, descriptors, tf.gather_nd(score[0, :, :, 0], corners)


def _graph(tf: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Inputs and outputs of the signature, in the current graph."""
    import numpy as np

    inputs = {
        "image": tf.compat.v1.placeholder(tf.float32, [None, None, 3], "image"),
        "score_threshold": tf.compat.v1.placeholder(tf.float32, [], "score_threshold"),
        "image_scales": tf.compat.v1.placeholder(tf.float32, [None], "image_scales"),
        "max_feature_num": tf.compat.v1.placeholder(tf.int32, [], "max_feature_num"),
    }
    basis, _ = np.linalg.qr(np.random.default_rng(40).normal(size=(len(CELL_CENTRES) ** 2 * ORIENTATIONS, DIMENSION)))
    projection = tf.compat.v1.get_variable("projection", initializer=basis.astype(np.float32))
    grey = tf.image.rgb_to_grayscale(inputs["image"])[None] * 255.0

    def body(i: Any, *found: Any) -> tuple[Any, ...]:
        more = _at_scale(tf, grey, inputs["image_scales"][i], inputs["score_threshold"], projection)
        return (i + 1, *(tf.concat(pair, axis=0) for pair in zip(found, more, strict=True)))

    _, locations, descriptors, scores = tf.compat.v1.while_loop(
        lambda i, *_: i < tf.shape(inputs["image_scales"])[0],
        body,
        (tf.constant(0), tf.zeros([0, 2]), tf.zeros([0, DIMENSION]), tf.zeros([0])),
        shape_invariants=tuple(tf.TensorShape(shape) for shape in ([], [None, 2], [None, DIMENSION], [None])),
    )
    _, best = tf.math.top_k(scores, tf.minimum(inputs["max_feature_num"], tf.shape(scores)[0]))
    outputs = {
        "locations": tf.gather(locations, best, name="locations"),
        "descriptors": tf.gather(descriptors, best, name="descriptors"),
    }
    return inputs, outputs


def main(path: Path) -> None:
    """Build the module in this process."""
    import tensorflow as tf

    tf.compat.v1.disable_v2_behavior()  # the variables and loops of TF1, as in the real module
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        inputs, outputs = _graph(tf)
        session.run(v1.global_variables_initializer())
        signature = v1.saved_model.build_signature_def(
            {name: v1.saved_model.build_tensor_info(tensor) for name, tensor in inputs.items()},
            {name: v1.saved_model.build_tensor_info(tensor) for name, tensor in outputs.items()},
            v1.saved_model.signature_constants.PREDICT_METHOD_NAME,
        )
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, [], signature_def_map={"default": signature})
        builder.save()
    # a ModuleDef message that says "format: FORMAT_V3"; by this file tensorflow_hub tells a TF1 module
    (path / "tfhub_module.pb").write_bytes(b"\x08\x03")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
