"""Two runs of ``landmarq evaluate``, photograph by photograph: which figures changed for certain, and which answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from landmarq.evalrun import BadRun, Outcome, Row, Run
from recognition.bootstrap import Difference, compare


@dataclass(frozen=True)
class Change:
    """A photograph whose answer changed. ``before``, ``after``: what was answered, for people."""

    photo: str
    truth: str | None
    before: str
    after: str
    better: bool | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


@dataclass(frozen=True)
class Comparison:
    """What distinguishes ``after`` from ``before``. ``notes``: what the reader should know, first."""

    photographs: int
    notes: list[str]
    differences: list[Difference]
    changes: list[Change]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {
            "photographs": self.photographs,
            "notes": self.notes,
            "differences": [
                {**asdict(one), "difference": one.difference, "verdict": one.verdict} for one in self.differences
            ],
            "changes": [one.to_dict() for one in self.changes],
        }


def compare_runs(before: Run, after: Run) -> Comparison:
    """Compare the answers to the photographs that both runs have.

    Raises:
        BadRun: there is no such photograph, none of them is a query, or the right answers differ.
    """
    old, new = _by_photo(before), _by_photo(after)
    common = [photo for photo in old if photo in new]
    rows = [(old[photo], new[photo]) for photo in common]
    for first, second in rows:
        if first.truth != second.truth:
            raise BadRun(
                f"the runs don't agree what {first.photo} shows ({first.truth or 'unknown'}, then "
                f"{second.truth or 'unknown'}): they are of different data sets"
            )
    if not any(first.truth is not None for first, _ in rows):
        raise BadRun("the runs have no query in common: they are of different data sets")
    titles = {**before.titles, **after.titles}
    return Comparison(
        photographs=len(rows),
        notes=_notes(before, after, len(rows), rows),
        differences=compare([first.judged for first, _ in rows], [second.judged for _, second in rows]),
        changes=[_change(first, second, titles) for first, second in rows if _answer(first) != _answer(second)],
    )


def _by_photo(run: Run) -> dict[str, Row]:
    rows = {row.photo: row for row in run.answers}
    if len(rows) < len(run.answers):
        raise BadRun("a run has two answers to one photograph: the names in the data set are not unique")
    return rows


def _notes(before: Run, after: Run, common: int, rows: Sequence[tuple[Row, Row]]) -> list[str]:
    notes = [
        f"{name}: {before.about.get(name, 'not told')}, then {after.about.get(name, 'not told')}"
        for name in sorted({*before.about, *after.about})
        if before.about.get(name) != after.about.get(name)
    ]
    only = (len(before.answers) - common, len(after.answers) - common)
    if any(only):
        notes.append(f"{common} photographs are compared; {only[0]} are in the first run only, {only[1]} in the second")
    if any(first.relevant != second.relevant for first, second in rows):
        notes.append(
            "the numbers of right index images differ: the mAP of the two is not of the same index or protocol"
        )
    return notes


def _answer(row: Row) -> tuple[Outcome, str | None]:
    """What makes an answer another one: the outcome, and for wrong ones which landmark was named."""
    wrong = row.outcome in (Outcome.WRONG, Outcome.ACCEPTED)
    return row.outcome, row.named if wrong else None


def _change(before: Row, after: Row, titles: Mapping[str, str]) -> Change:
    grades = before.outcome.grade, after.outcome.grade
    return Change(
        photo=before.photo,
        truth=before.truth,
        before=_told(before, titles),
        after=_told(after, titles),
        better=None if grades[0] == grades[1] else grades[1] > grades[0],
    )


def _told(row: Row, titles: Mapping[str, str]) -> str:
    named = f": {titles.get(row.named, row.named)}" if row.named and row.outcome != Outcome.RIGHT else ""
    return f"{row.outcome.value}{named} ({row.confidence:.2f})"
