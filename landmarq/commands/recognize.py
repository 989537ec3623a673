"""``recognize`` and ``match``: in this process, without a broker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group

from landmarq.commands.common import DataDir, IndexDir, JsonFlag, Photos, ProfileName
from landmarq.environment import load_settings
from landmarq.errors import ExitCode, exit_code, worst
from landmarq.output import Output
from landmarq.results import details, headline, result_code, seed_lines
from recognition.errors import LandmarqError

if TYPE_CHECKING:
    from config.settings import Settings
    from landmarq.engine import Engine

PlotDir = Annotated[
    Path | None, typer.Option("--plot", metavar="DIR", file_okay=False, help="Write correspondences as pictures.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    for command in (recognize, match):
        app.command(rich_help_panel="Here and now, without a queue")(command)


def recognize(
    photos: Photos,
    plot: PlotDir = None,
    profile: ProfileName = None,
    data_dir: DataDir = None,
    index_dir: IndexDir = None,
    as_json: JsonFlag = False,
) -> None:
    """Recognise landmarks in photographs, in this process."""
    output = Output(as_json)
    settings = load_settings(data_dir, index_dir=index_dir, profile=profile)
    engine = open_engine(output, settings)
    codes = []
    with output.progress("recognising") as advance:
        for done, (photo, picture) in enumerate(zip(photos, picture_paths(photos, plot), strict=True)):
            advance(done, len(photos))
            codes.append(_recognize_one(output, engine, photo, picture, many=len(photos) > 1))
    raise typer.Exit(worst(codes))


def open_engine(output: Output, settings: Settings) -> Engine:
    """The index (first: its errors come at once), then the network, with a spinner."""
    from landmarq.engine import Engine

    with output.spinner("opening the index and loading the network"):
        return Engine(settings)


def _recognize_one(output: Output, engine: Engine, photo: Path, picture: Path | None, *, many: bool) -> ExitCode:
    with told(output, photo) as codes:
        found = engine.recognize(photo)
        output.emit({"photo": str(photo), **found}, lambda: _render(engine, str(photo), found, many))
        codes.append(result_code(found))
        if picture is not None:
            _plot(output, engine, photo, found, picture)
    return worst(codes)


@contextmanager
def told(output: Output, photo: Path) -> Iterator[list[ExitCode]]:
    """Tell the user of an error with one photograph, and go on; yields a list for the exit codes."""
    codes: list[ExitCode] = []
    try:
        yield codes
    except LandmarqError as error:
        output.error(error, photo=str(photo))
        codes.append(exit_code(error))


def _render(engine: Engine, name: str, found: dict[str, Any], many: bool) -> Any:
    if engine.profile.name == "seed":
        return seed_lines(name if many else None, found, engine.ordinals)
    more = None if many else details(found)
    return Group(headline(name, found), more) if more else headline(name, found)


def _plot(output: Output, engine: Engine, photo: Path, found: dict[str, Any], picture: Path) -> None:
    from landmarq.pictures import write_correspondences

    written = write_correspondences(photo, found, engine.index, picture, engine.limits)
    if written is None:
        output.note(f"{photo}: nothing to draw, no candidate has inliers")
    else:
        output.note(f"correspondences: {written}")


def picture_paths(photos: list[Path], folder: Path | None) -> list[Path | None]:
    """A file in ``folder`` for each photo, named after it; of several of one name, the later ones are numbered."""
    if folder is None:
        return [None] * len(photos)
    seen: Counter[str] = Counter()
    paths: list[Path | None] = []
    for photo in photos:
        seen[photo.stem] += 1
        number = f"-{seen[photo.stem]}" if seen[photo.stem] > 1 else ""
        paths.append(folder / f"{photo.stem}{number}.jpg")
    return paths


def match(
    first: Annotated[Path, typer.Argument(metavar="A", help="A photograph.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.", show_default=False)],
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Write the correspondences.")] = None,
    profile: ProfileName = None,
    as_json: JsonFlag = False,
) -> None:
    """Compare two photographs directly: do they show the same thing?"""
    from landmarq.engine import compare

    output = Output(as_json)
    settings = load_settings(profile=profile)
    with output.spinner("loading the network"):
        comparison = compare(settings, first, second)
    found = comparison.to_dict()
    same = f"[bold green]the same[/], {found['inliers']} inliers of {found['matches']} matches"
    different = f"[yellow]not recognisably the same[/], {found['inliers']} inliers of {found['matches']} matches"
    output.emit(found, lambda: f"{first} and {second}: {same if found['same'] else different}")
    if plot is not None:
        from landmarq.pictures import write_picture

        write_picture(comparison.picture(), plot)
        output.note(f"correspondences: {plot}")
    raise typer.Exit(ExitCode.OK if found["same"] else ExitCode.UNKNOWN)
