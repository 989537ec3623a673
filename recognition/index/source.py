"""Where the photographs of an index come from: a folder per landmark, or a CSV file."""

from __future__ import annotations

import csv
import io
import math
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from recognition.errors import IndexInputError
from recognition.index.records import Landmark

REQUIRED_COLUMNS = ("file", "landmark")
_KNOWN_COLUMNS = (*REQUIRED_COLUMNS, "title", "latitude", "longitude")
_SUFFIXES = frozenset((".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp"))
_CLUTTER = frozenset(("thumbs.db", "desktop.ini", "__macosx"))  # what Windows and macOS put beside photographs


@dataclass(frozen=True, slots=True)
class Entry:
    """One photograph to be indexed; ``name`` is its path relative to the source."""

    file: Path
    name: str
    landmark: Landmark


def read_source(path: Path) -> list[Entry]:
    """The photographs of a folder with one subfolder per landmark, or those that a CSV file lists.

    In a folder, the subfolder's name is the landmark's id, and its title with dashes and underscores as spaces; every
    file below it counts, hidden ones excepted. A CSV (UTF-8; comma, semicolon or tab) needs the columns ``file``
    (relative to the CSV) and ``landmark``; ``title``, ``latitude`` and ``longitude`` are optional, others are metadata.

    Raises:
        IndexInputError: the source doesn't exist, holds no images, or is not laid out like that.
    """
    if path.is_dir():
        return _read_folder(path)
    if path.is_file():
        return _read_csv(path)
    raise IndexInputError(f"{path} does not exist: give a folder with one subfolder per landmark, or a CSV file")


def _read_folder(root: Path) -> list[Entry]:
    stray = [child.name for child in _visible(root) if child.is_file() and child.suffix.lower() in _SUFFIXES]
    if stray:
        names = ", ".join(stray[:3]) + ", ..." * (len(stray) > 3)
        raise IndexInputError(
            f"{len(stray)} images in {root} lie in no landmark's folder ({names}): "
            "move each into a subfolder named after its landmark"
        )
    entries = [
        Entry(file, file.relative_to(root).as_posix(), landmark)
        for folder in _visible(root)
        if folder.is_dir()
        for landmark in [_landmark(folder.name)]
        for file in _files(folder)
    ]
    if not entries:
        raise IndexInputError(f"the folder {root} is empty: it needs one subfolder with images per landmark")
    return entries


def _visible(folder: Path) -> list[Path]:
    try:
        children = sorted(folder.iterdir())
    except OSError as error:
        raise IndexInputError(f"the folder {folder} can't be read: {error.strerror}") from error
    return [child for child in children if not child.name.startswith(".") and child.name.lower() not in _CLUTTER]


def _files(folder: Path) -> Iterator[Path]:
    for child in _visible(folder):
        if not child.is_dir():
            yield child
        elif not child.is_symlink():  # a link back up would never end
            yield from _files(child)


def _landmark(id: str) -> Landmark:
    id = unicodedata.normalize("NFC", id)  # macOS hands out decomposed names
    return Landmark(id, _title(id))


def _title(id: str) -> str:
    """ "st-paul's_cathedral" -> "St Paul's Cathedral"; capitals inside a word stay."""
    words = id.replace("_", " ").replace("-", " ").split()
    return " ".join(word[0].upper() + word[1:] for word in words) or id


def _read_csv(path: Path) -> list[Entry]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise IndexInputError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}): save it as such"
        ) from error
    except OSError as error:
        raise IndexInputError(f"{path} can't be read: {error.strerror}") from error
    first_line = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first_line.count), strict=True)
    try:
        columns = reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or ()]
        missing = [name for name in REQUIRED_COLUMNS if name not in columns]
        if missing:
            raise IndexInputError(
                f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}: "
                f"its first line has to name them (found: {', '.join(columns) or 'nothing'})"
            )
        entries = [_entry(row, path.parent, f"{path}, line {reader.line_num}") for row in reader]
    except csv.Error as error:
        raise IndexInputError(f"{path}, line {reader.reader.line_num}, is no CSV: {error}") from error
    if not entries:
        raise IndexInputError(f"{path} is empty: it has no line below the column names")
    return entries


def _entry(row: dict[str | None, str | list[str] | None], folder: Path, where: str) -> Entry:
    if None in row:
        raise IndexInputError(f"{where}: more cells than columns; a cell with a comma needs quotes")
    cells = {str(name): str(cell or "").strip() for name, cell in row.items()}
    for name in REQUIRED_COLUMNS:
        if not cells[name]:
            raise IndexInputError(f"{where}: the cell in the column {name} is empty")
    latitude = _degrees(cells.get("latitude", ""), 90, f"{where}: the latitude")
    longitude = _degrees(cells.get("longitude", ""), 180, f"{where}: the longitude")
    if (latitude is None) != (longitude is None):
        raise IndexInputError(f"{where}: latitude and longitude have to be given both, or neither")
    metadata = {name: cell for name, cell in cells.items() if name and name not in _KNOWN_COLUMNS and cell}
    id = cells["landmark"]
    landmark = Landmark(id, cells.get("title") or _title(id), latitude, longitude, metadata)
    return Entry(folder / cells["file"], cells["file"], landmark)


def _degrees(cell: str, limit: int, what: str) -> float | None:
    if not cell:
        return None
    try:
        degrees = float(cell)
    except ValueError:
        degrees = math.nan
    if not abs(degrees) <= limit:
        raise IndexInputError(
            f"{what} {cell!r} is no number between -{limit} and {limit} (degrees, with a decimal point)"
        )
    return degrees
