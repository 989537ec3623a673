"""Pictures of correspondences, from a Result JSON and the index's thumbnails: wherever the photograph is at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from landmarq.errors import OutputUnwritable
from landmarq.photo import read_photo
from landmarq.results import leading, percent

if TYPE_CHECKING:
    from recognition.extractors.base import Image
    from recognition.images import ImageLimits
    from recognition.index.store import Index


def write_correspondences(
    photo: Path, result: Mapping[str, Any], index: Index, path: Path, limits: ImageLimits
) -> Path | None:
    """Draw the inliers of the landmark named, or else of the best candidate, into the file ``path``; None, and no file,
    when there are none.

    index: the generation that the result was found in.

    Raises:
        ImageError: the photograph can't be used. OutputUnwritable: the picture can't be written.
    """
    from recognition.images import decode

    best = leading(result)
    if best is None:
        return None
    query = decode(read_photo(photo, max_bytes=limits.max_bytes), limits)
    ordinal = next(i for i, image in enumerate(index.images()) if image.name == best["image"])
    title = f"{best['title']}: {best['inliers']} inliers, confidence {percent(best['confidence'])}"
    picture = draw_pairs(
        query, index.thumbnail(ordinal), best["correspondences"], index_size=index.image(ordinal).size, title=title
    )
    return write_picture(picture, path)


def draw_pairs(
    query: Image,
    index_image: Image,
    pairs: Sequence[Sequence[float]],
    *,
    index_size: tuple[int, int] | None = None,
    title: str = "",
) -> Image:
    """Two pictures, uint8 [h, w, 3], side by side with a line per pair (y, x, y', x') in original pixels.

    index_size: (height, width) of the original when ``index_image`` is a thumbnail of it.
    """
    from recognition.draw import draw

    return draw(
        query,
        index_image,
        np.array(pairs, np.float32).reshape(-1, 4),
        query_size=(query.shape[0], query.shape[1]),
        index_size=index_size or (index_image.shape[0], index_image.shape[1]),
        title=title,
    )


def write_picture(picture: Image, path: Path) -> Path:
    """Write ``picture`` in the format that the file's ending names.

    Raises:
        OutputUnwritable: no format has this ending, or the file can't be written.
    """
    from PIL import Image as Pillow

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        Pillow.fromarray(picture).save(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise OutputUnwritable(f"can't write the picture {path}: {reason}") from None
    return path
