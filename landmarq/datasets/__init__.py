"""Labelled sets of photographs for ``landmarq evaluate``: own ones, Revisited Oxford and Paris, Google Landmarks v2."""

from __future__ import annotations

from pathlib import Path

from landmarq.datasets.base import BadDataset, Dataset, Question

__all__ = ["PROTOCOLS", "BadDataset", "Dataset", "Question", "read_dataset"]

PROTOCOLS = ("easy", "medium", "hard", "recognition", "retrieval")


def read_dataset(path: Path, protocol: str | None = None) -> Dataset:
    """Read a data set; what lies at ``path`` says which kind it is.

    A CSV, a folder with a ``manifest.csv`` or with ``index/``, ``query/`` and ``distractor/``; a ``gnd_*.pkl`` of
    Revisited Oxford or Paris, or the folder of one; a folder with the CSVs of Google Landmarks v2.

    Args:
        protocol: how a public set counts: easy, medium (when None) or hard for Oxford and Paris, recognition (when
            None) or retrieval for Google Landmarks v2. Own sets have none.

    Raises:
        BadDataset: a file, a column or a split is missing, or there is nothing to index or to ask, or no such protocol.
    """
    from landmarq.datasets import gldv2, plain, revisited

    if revisited.is_one(path):
        found = revisited.read(path, _chosen(protocol, revisited.PROTOCOLS))
    elif gldv2.is_one(path):
        found = gldv2.read(path, _chosen(protocol, gldv2.PROTOCOLS))
    else:
        _chosen(protocol, ())
        found = plain.read(path)
    if not found.index or not found.questions:
        raise BadDataset(
            f"{path} has {len(found.index)} photographs to index and {len(found.questions)} to ask: it needs both"
            + "".join(f"; {note}" for note in found.notes)
        )
    return found


def _chosen(protocol: str | None, known: tuple[str, ...]) -> str:
    """``protocol`` if this kind of set has it; the first of ``known`` for None."""
    if protocol is None:
        return known[0] if known else ""
    if protocol not in known:
        choice = f"it has {', '.join(known)}" if known else "it has none"
        raise BadDataset(f"this data set has no protocol {protocol!r}: {choice}")
    return protocol
