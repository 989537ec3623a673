"""What can go wrong, as a tree. Every error has a stable ``code`` (for programs) and a message (for people).

LandmarqError                          error
├── ImageError                         bad_image
│   ├── EmptyImage                     empty_image
│   ├── NotAnImage                     not_an_image
│   ├── TruncatedImage                 truncated_image
│   ├── ImageTooManyBytes              too_many_bytes
│   ├── ImageTooManyPixels             too_many_pixels
│   └── ImageTooSmall                  image_too_small
├── ExtractorError                     extractor_failed
│   ├── ExtractorOutOfMemory           extractor_out_of_memory
│   └── ExtractorUnavailable           extractor_unavailable
├── FeaturesError                      bad_features
├── BadCalibration                     bad_calibration
└── StoreError                         index_error
    ├── IndexMissing                   index_missing
    ├── IndexInputError                bad_index_input
    ├── IndexLocked                    index_locked
    ├── SegmentCorrupt                 segment_corrupt
    ├── SchemaMismatch                 schema_mismatch
    ├── FingerprintMismatch            fingerprint_mismatch
    └── GenerationMissing              generation_missing

The queue's own errors (``BrokerUnavailable``, ``JobNotFound``, ...) live in ``tasks.errors`` and share the base.
"""

from __future__ import annotations

from typing import ClassVar


class LandmarqError(Exception):
    """Base of every error that is meant for the user: ``code`` is stable, ``str(error)`` says what to do."""

    code: ClassVar[str] = "error"

    @property
    def message(self) -> str:
        """The text for people."""
        return str(self)


class ImageError(LandmarqError):
    """The photograph can't be used."""

    code = "bad_image"


class EmptyImage(ImageError):
    """Zero bytes."""

    code = "empty_image"


class NotAnImage(ImageError):
    """The bytes are in no image format that is read here."""

    code = "not_an_image"


class TruncatedImage(ImageError):
    """The file ends before the picture does, or its data is damaged."""

    code = "truncated_image"


class ImageTooManyBytes(ImageError):
    """The file is larger than the limit."""

    code = "too_many_bytes"


class ImageTooManyPixels(ImageError):
    """The header announces more pixels than the limit; nothing was decoded."""

    code = "too_many_pixels"


class ImageTooSmall(ImageError):
    """A side is shorter than the smallest one that can hold a feature."""

    code = "image_too_small"


class ExtractorError(LandmarqError):
    """The network failed on an image."""

    code = "extractor_failed"


class ExtractorOutOfMemory(ExtractorError):
    """The device's memory does not suffice for the images."""

    code = "extractor_out_of_memory"


class ExtractorUnavailable(ExtractorError):
    """The extractor can't be loaded: a package, the weights or the module is missing."""

    code = "extractor_unavailable"


class FeaturesError(LandmarqError):
    """Arrays that are no valid ``Features``."""

    code = "bad_features"


class BadCalibration(LandmarqError):
    """A calibration file that can't be used."""

    code = "bad_calibration"


class StoreError(LandmarqError):
    """Base of everything wrong with an index."""

    code = "index_error"


class IndexMissing(StoreError):
    """There is no index (or an empty one) at the path."""

    code = "index_missing"


class IndexInputError(StoreError):
    """The folder or CSV to be indexed is unusable."""

    code = "bad_index_input"


class IndexLocked(StoreError):
    """Another writer holds the index."""

    code = "index_locked"


class SegmentCorrupt(StoreError):
    """A segment is truncated or its checksum does not fit."""

    code = "segment_corrupt"


class SchemaMismatch(StoreError):
    """A segment of a schema version that this release does not read."""

    code = "schema_mismatch"


class FingerprintMismatch(StoreError):
    """Descriptors of different extractors are never compared."""

    code = "fingerprint_mismatch"


class GenerationMissing(StoreError):
    """The generation asked for has been pruned or never was."""

    code = "generation_missing"
