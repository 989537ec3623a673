"""The GPUs of this process: how much of their memory TensorFlow may take."""

from __future__ import annotations

from recognition.errors import ExtractorUnavailable


def limit_memory(megabytes: int | None = None) -> int:
    """Let TensorFlow take GPU memory as it needs it instead of all at once, of each card up to a limit (None: all).

    To be called before the first operation; returns the number of cards. Without TensorFlow or a card nothing happens:
    what is missing is for the extractor to say.

    Raises:
        ExtractorUnavailable: TensorFlow has used a card already, under other limits.
    """
    try:
        import tensorflow as tf
    except ImportError:
        return 0
    cards = tf.config.list_physical_devices("GPU")
    try:
        for card in cards:
            if megabytes is None:
                tf.config.experimental.set_memory_growth(card, True)
            else:
                limit = tf.config.LogicalDeviceConfiguration(memory_limit=megabytes)
                tf.config.set_logical_device_configuration(card, [limit])
    except (RuntimeError, ValueError) as error:
        raise ExtractorUnavailable(f"the GPU's memory can't be limited any more: {error}") from error
    return len(cards)
