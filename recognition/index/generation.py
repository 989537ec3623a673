"""A generation: the list of segments that together are the index at one moment, as a small JSON file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recognition.errors import GenerationMissing, LandmarqError, SchemaMismatch, SegmentCorrupt
from recognition.index.files import write_atomic
from recognition.index.records import SCHEMA_VERSION, SegmentEntry


@dataclass(frozen=True, slots=True)
class Generation:
    """What ``generations/<number>.json`` says. A generation without segments is an emptied index."""

    number: int
    fingerprint: str
    dimension: int
    segments: tuple[SegmentEntry, ...]

    def write(self, folder: Path) -> None:
        """Write ``folder/<number>.json`` in one step."""
        content: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "generation": self.number,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "fingerprint": self.fingerprint,
            "dimension": self.dimension,
            "segments": [asdict(entry) for entry in self.segments],
        }
        content["checksum"] = _checksum(content)
        write_atomic(generation_file(folder, self.number), json.dumps(content, indent=1).encode())


def read_generation(folder: Path, number: int) -> Generation:
    """Read ``folder/<number>.json``.

    Raises:
        GenerationMissing: there is no such file.
        SchemaMismatch: it is of another schema version.
        SegmentCorrupt: it is damaged.
    """
    path = generation_file(folder, number)
    try:
        return _parse(json.loads(path.read_bytes()), number, path)
    except FileNotFoundError as error:
        raise missing(folder, number) from error
    except LandmarqError:
        raise
    except Exception as error:  # damage makes any of the keys, types and values wrong
        raise SegmentCorrupt(
            f"the generation file {path} can't be read ({error}): restore it from a backup, or roll back to another one"
        ) from error


def generation_file(folder: Path, number: int) -> Path:
    """Where a generation is described."""
    return folder / f"{number}.json"


def missing(folder: Path, number: int) -> GenerationMissing:
    """The error for a generation without a file."""
    return GenerationMissing(
        f"there is no generation {number} in {folder.parent}: it has been pruned or never was; "
        f"there are {', '.join(map(str, generation_numbers(folder))) or 'none'}"
    )


def generation_numbers(folder: Path) -> list[int]:
    """The numbers of the generation files in ``folder``, ascending."""
    return sorted(int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal())


def _parse(content: dict[str, Any], number: int, path: Path) -> Generation:
    version = content["schema_version"]
    if version != SCHEMA_VERSION:
        raise SchemaMismatch(
            f"the generation file {path} has schema version {version}, this release reads {SCHEMA_VERSION}: "
            "build the index anew, or use the release that wrote it"
        )
    checksum = content.pop("checksum")
    if checksum != _checksum(content) or content["generation"] != number:
        raise ValueError("its checksum does not fit")
    return Generation(
        number=number,
        fingerprint=content["fingerprint"],
        dimension=content["dimension"],
        segments=tuple(_entry(entry) for entry in content["segments"]),
    )


def _entry(content: dict[str, Any]) -> SegmentEntry:
    bulk = tuple((offset, length) for offset, length in content["bulk"])
    return SegmentEntry(**{**content, "bulk": bulk, "removed": tuple(content["removed"])})


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
