"""Documentation that can be checked is: every setting has its row, and no row is about a setting that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from config.settings import PREFIX, Settings

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "configuration.md"
# Read by the health check alone, which needs no settings of a job.
ELSEWHERE = {"LANDMARQ_NODE"}


def variables(model: type[BaseModel], prefix: str = PREFIX) -> Iterator[str]:
    for name, field in model.model_fields.items():
        variable = prefix + (field.alias or name).upper()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from variables(field.annotation, variable + "__")
        else:
            yield variable


def documented() -> set[str]:
    return set(re.findall(r"^\| `(LANDMARQ_\w+)` \|", DOCUMENT.read_text(), re.MULTILINE))


def test_every_setting_is_documented() -> None:
    assert sorted(set(variables(Settings)) - documented()) == []


def test_every_documented_setting_exists() -> None:
    assert sorted(documented() - set(variables(Settings)) - ELSEWHERE) == []
