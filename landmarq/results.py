"""A Result JSON (see ``docs/cli.md``) as text: the same for ``recognize``, ``submit --wait`` and ``result``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape

from landmarq.errors import ExitCode
from landmarq.output import table

Result = Mapping[str, Any]


def result_code(result: Result) -> ExitCode:
    """The exit code that a final result stands for."""
    if result.get("state", "done") != "done":
        return ExitCode.ERROR
    return ExitCode.OK if result["landmark"] else ExitCode.UNKNOWN


def percent(confidence: float) -> str:
    """A confidence in [0, 1], never rounded up to a certainty."""
    return f"{min(int(confidence * 1000) / 10, 99.9):.1f} %"


def headline(name: str, result: Result) -> str:
    """One line, in rich markup: the photograph and the landmarks that it shows, or why there is none."""
    landmark = result["landmark"]
    if result.get("state", "done") != "done":
        error = result.get("error") or {}
        what = f"[red]{result['state']}[/]" + (f": {escape(str(error['message']))}" if error else "")
    elif landmark is None:
        reason = (result.get("reason") or {}).get("message")
        what = "[yellow]unknown[/]" + (f" ({escape(reason)})" if reason else "")
    else:
        what = "; ".join(_named(each) for each in result["landmarks"])
    return f"{escape(name)}: {what}"


def _named(landmark: Mapping[str, Any]) -> str:
    sure = percent(landmark["confidence"])
    return f"[bold green]{escape(landmark['title'])}[/]  {sure}, {landmark['inliers']} inliers"


def details(result: Result) -> RenderableType | None:
    """The candidates as a table, and the time each stage took; None when there is neither."""
    parts: list[RenderableType] = []
    if result["candidates"]:
        rows = table("candidate", "image", "inliers", "confidence", right=("inliers", "confidence"))
        for candidate in result["candidates"]:
            rows.add_row(
                escape(candidate["title"]),
                escape(candidate["image"]),
                str(candidate["inliers"]),
                percent(candidate["confidence"]),
            )
        parts.append(rows)
    if result.get("landmark") and result["landmark"].get("latitude") is not None:
        parts.append(f"at {result['landmark']['latitude']:.3f}, {result['landmark']['longitude']:.3f}")
    times = timings(result)
    if times:
        parts.append(f"[dim]{times}[/]")
    return Group(*parts) if parts else None


def leading(result: Result) -> Mapping[str, Any] | None:
    """The best candidate of the landmark that is named, or of all if none is; None without any inliers."""
    named = result["landmark"]
    verified = (candidate for candidate in result["candidates"] if candidate["inliers"])
    return next((one for one in verified if named is None or one["landmark"] == named["id"]), None)


def timings(result: Result) -> str:
    """``extract 120 ms · match 5 ms · verify 3 ms``, without what was not measured."""
    times = result.get("timings_ms") or {}
    return " · ".join(f"{stage} {round(value)} ms" for stage, value in times.items() if value is not None)


def seed_lines(name: str | None, result: Result, ordinals: Mapping[str, int]) -> RenderableType:
    """The answer as the original blog post printed it: images by ordinal, and the best guess counted from one."""
    scores = [
        {"index": ordinals[candidate["image"]], "inliers": candidate["inliers"]} for candidate in result["candidates"]
    ]
    lines = [escape(str(scores))]
    best = leading(result)
    if result["landmark"] and best:
        number = ordinals[best["image"]] + 1
        # "The Colosseum, Rome, Italy" is "The Colosseum — Rome, Italy" there.
        title = result["landmark"]["title"].replace(", ", " — ", 1)
        lines.append(escape(f"Best guess for this image: {number}. {title}"))
    else:
        lines.append("No guess for this image.")
    return "\n".join([*([escape(name)] if name else []), *lines])
