"""Revisited Oxford and Paris (Radenovic et al., CVPR 2018): ``gnd_roxford5k.pkl`` or ``gnd_rparis6k.pkl``.

The pickle holds ``imlist`` and ``qimlist`` (names without ``.jpg``) and ``gnd``: one dictionary per query with ``bbx``
(left, top, right, bottom) and the positions in ``imlist`` of its ``easy``, ``hard`` and ``junk`` images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from landmarq.datasets.base import BadDataset, Box, Dataset, Question
from landmarq.datasets.unpickle import RefusedPickle, load
from recognition.index.source import Entry
from recognition.index.store import Landmark

# What is right under each protocol, and what joins the junk; the first one is the default.
_RULES = {"medium": (("easy", "hard"), ()), "easy": (("easy",), ("hard",)), "hard": (("hard",), ("easy",))}
PROTOCOLS = tuple(_RULES)
PATTERN = "gnd_*.pkl"


@dataclass(frozen=True)
class _Query:
    """One query; the sets hold names of index images."""

    name: str
    box: Box | None
    easy: frozenset[str]
    hard: frozenset[str]
    junk: frozenset[str]

    def images(self, *kinds: str) -> frozenset[str]:
        return frozenset[str]().union(*(getattr(self, kind) for kind in kinds))


def is_one(path: Path) -> bool:
    """Whether ``path`` is such a pickle, or a folder with exactly one."""
    return path.suffix == ".pkl" or (path.is_dir() and len(list(path.glob(PATTERN))) == 1)


def read(path: Path, protocol: str) -> Dataset:
    """Read the set; the photographs are in ``jpg/`` beside the pickle, or beside it.

    The set labels no landmarks: queries that share a right image are of one, which is named after the first of them,
    and each other image is a landmark of its own. A query without a right image under the protocol is left out.

    Raises:
        BadDataset: the pickle is not of this layout, or holds more than plain data.
    """
    path = next(path.glob(PATTERN)) if path.is_dir() else path
    names, queries = _parse(path)
    folder = path.parent / "jpg" if (path.parent / "jpg").is_dir() else path.parent
    groups = _groups(queries)
    landmark_of = _landmarks(queries, groups)
    index = [Entry(folder / f"{name}.jpg", name, landmark_of.get(name) or Landmark(name, name)) for name in names]
    right, unseen = _RULES[protocol]
    questions = [
        Question(
            file=folder / f"{query.name}.jpg",
            name=query.name,
            truth=groups[query.name].id,
            relevant=query.images(*right),
            junk=query.images("junk", *unseen) - query.images(*right),
            box=query.box,
        )
        for query in queries
        if query.images(*right)
    ]
    left_out = len(queries) - len(questions)
    notes = [f"{left_out} queries have no right image under the protocol {protocol}: left out"] if left_out else []
    return Dataset(index, questions, notes)


def _parse(path: Path) -> tuple[list[str], list[_Query]]:
    try:
        found = load(path.read_bytes())
        names = [str(name) for name in found["imlist"]]
        rows = zip(found["qimlist"], found["gnd"], strict=True)
        return names, [_query(str(name), row, names) for name, row in rows]
    except OSError as error:
        raise BadDataset(f"can't read {path}: {error.strerror}") from None
    except RefusedPickle as error:
        raise BadDataset(f"{path} is refused: {error}") from None
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise BadDataset(f"{path} is no ground truth of Revisited Oxford or Paris: {error!r}") from None


def _query(name: str, row: dict[str, Any], names: Sequence[str]) -> _Query:
    easy, hard, junk = (frozenset(_named(row[kind], names)) for kind in ("easy", "hard", "junk"))
    left, top, right, bottom = (float(side) for side in row["bbx"])
    return _Query(name, (top, left, bottom, right), easy, hard, junk)


def _named(positions: Sequence[int], names: Sequence[str]) -> Iterator[str]:
    for position in positions:
        if not 0 <= int(position) < len(names):
            raise ValueError(f"position {position} in a list of {len(names)} images")
        yield names[int(position)]


def _groups(queries: Sequence[_Query]) -> dict[str, Landmark]:
    """The landmark of each query, by the query's name."""
    groups: list[tuple[list[str], set[str]]] = []
    for query in queries:
        images = set(query.images("easy", "hard"))
        touching = [group for group in groups if group[1] & images]
        members = [name for group in touching for name in group[0]] + [query.name]
        groups = [group for group in groups if group not in touching]
        groups.append((members, images.union(*(group[1] for group in touching))))
    return {name: Landmark(members[0], _title(members[0])) for members, _ in groups for name in members}


def _landmarks(queries: Sequence[_Query], groups: dict[str, Landmark]) -> dict[str, Landmark]:
    """The landmark of each image that shows one; being right for a query counts more than being its junk."""
    found = {image: groups[query.name] for query in queries for image in query.junk}
    return found | {image: groups[query.name] for query in queries for image in query.images("easy", "hard")}


def _title(name: str) -> str:
    """``all_souls_000013`` -> ``All souls``."""
    words = [word for word in name.split("_") if not word.isdigit()]
    return " ".join(words).capitalize() or name
