"""``index build|add|remove|list|info|check|rollback|prune``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from landmarq.commands.common import DataDir, Group, IndexDir, JsonFlag
from landmarq.environment import load_settings
from landmarq.errors import ExitCode
from landmarq.output import Output, pairs, table

if TYPE_CHECKING:
    from recognition.index.ingest import IngestReport
    from recognition.index.store import Store

Source = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="A folder with one subfolder per landmark, or a CSV (file, landmark, title, latitude, longitude, ...).",
        show_default=False,
    ),
]

commands = typer.Typer(cls=Group, help="Build and look after the index of landmarks.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group to ``app``."""
    app.add_typer(commands, name="index", rich_help_panel="Index")


@commands.command()
def build(source: Source, data_dir: DataDir = None, index_dir: IndexDir = None, as_json: JsonFlag = False) -> None:
    """Make the index anew from SOURCE; the generation before stays for a rollback."""
    _ingest(Output(as_json), source, data_dir, index_dir, replace=True)


@commands.command()
def add(source: Source, data_dir: DataDir = None, index_dir: IndexDir = None, as_json: JsonFlag = False) -> None:
    """Add the photographs of SOURCE to the index. Workers take them up while they run."""
    _ingest(Output(as_json), source, data_dir, index_dir, replace=False)


def _ingest(output: Output, source: Path, data_dir: Path | None, index_dir: Path | None, *, replace: bool) -> None:
    from landmarq.indexing import ingest_source

    settings = load_settings(data_dir, index_dir=index_dir)
    with output.progress("indexing") as advance:
        report = ingest_source(settings, source, replace=replace, on_progress=advance)
    output.emit(_report_json(report), lambda: _report_text(report, settings.index_path))
    raise typer.Exit(ExitCode.ERROR if report.skipped else ExitCode.OK)


def _report_json(report: IngestReport) -> dict[str, Any]:
    return {
        "generation": report.generation,
        "added": report.added,
        "duplicates": report.duplicates,
        "skipped": [{"name": one.name, "code": one.code, "message": one.message} for one in report.skipped],
    }


def _report_text(report: IngestReport, path: Path) -> str:
    lines = [f"[bold]{plural(report.added, 'image')} added[/], generation {report.generation} of {escape(str(path))}"]
    if report.duplicates:
        lines.append(f"{plural(len(report.duplicates), 'duplicate')}: {escape(', '.join(report.duplicates))}")
    lines += [f"[yellow]skipped {escape(one.name)}: {escape(one.message)}[/]" for one in report.skipped]
    return "\n".join(lines)


def plural(count: int, noun: str) -> str:
    """``1 image``, ``54 images``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@commands.command()
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Names (or sha256) of images, see `list`.")],
    data_dir: DataDir = None,
    index_dir: IndexDir = None,
    as_json: JsonFlag = False,
) -> None:
    """Remove images: all of them, or none when a name is not in the index."""
    from recognition.index.writer import Writer

    output, store = Output(as_json), _store(data_dir, index_dir)
    with Writer(store, store.read(store.current()).fingerprint) as writer:
        removed = sum(writer.remove(name) for name in dict.fromkeys(names))
        generation = writer.commit()
    text = f"{plural(removed, 'image')} removed, generation {generation}"
    output.emit({"generation": generation, "removed": removed}, lambda: text)


@commands.command("list")
def list_images(data_dir: DataDir = None, index_dir: IndexDir = None, as_json: JsonFlag = False) -> None:
    """List the images with their landmarks."""
    output, index = Output(as_json), _store(data_dir, index_dir).open()
    found = [
        (image, index.landmark(int(index.landmark_of[i])), len(index.descriptors(i)))
        for i, image in enumerate(index.images())
    ]
    if as_json:
        for image, landmark, features in found:
            place = {"latitude": landmark.latitude, "longitude": landmark.longitude, "metadata": landmark.metadata}
            entry = {"image": image.name, "landmark": landmark.id, "title": landmark.title, **place}
            output.emit({**entry, "size": list(image.size), "features": features, "sha256": image.sha256}, str)
        return
    rows = table("image", "landmark", "title", "features", right=("features",))
    for image, landmark, features in found:
        rows.add_row(escape(image.name), escape(landmark.id), escape(landmark.title), f"{features:,}")
    output.out.print(rows)


@commands.command()
def info(data_dir: DataDir = None, index_dir: IndexDir = None, as_json: JsonFlag = False) -> None:
    """Say what the index holds."""
    output, store = Output(as_json), _store(data_dir, index_dir)
    index = store.open()
    facts = {
        "path": str(store.path),
        "generation": index.generation,
        "generations": store.generations(),
        "images": len(index),
        "landmarks": index.landmark_count,
        "descriptors": index.descriptor_count,
        "dimension": index.dimension,
        "extractor": index.fingerprint,
        "bytes": sum(path.stat().st_size for path in store.path.rglob("*") if path.is_file()),
    }
    changed = datetime.fromtimestamp((store.path / "CURRENT").stat().st_mtime, UTC).astimezone()
    readable = {
        **facts,
        "generations": ", ".join(str(number) for number in store.generations()),
        "descriptors": f"{index.descriptor_count:,}",
        "changed": f"{changed:%Y-%m-%d %H:%M}",
    }
    size = int(facts["bytes"]) / 2**20  # type: ignore[call-overload]
    readable["size"] = f"{size:.1f} MiB"
    del readable["bytes"]
    output.emit({**facts, "changed": changed.isoformat(timespec="seconds")}, lambda: pairs(readable))


@commands.command()
def check(data_dir: DataDir = None, index_dir: IndexDir = None, as_json: JsonFlag = False) -> None:
    """Read every byte of the index and compare it with the checksums (exit code 1 when something is wrong)."""
    output, store = Output(as_json), _store(data_dir, index_dir)
    with output.spinner("reading the index"):
        problems = store.check()
    text = "\n".join(f"[red]{escape(problem)}[/]" for problem in problems) or f"{escape(str(store.path))} is sound"
    output.emit({"path": str(store.path), "problems": problems}, lambda: text)
    raise typer.Exit(ExitCode.ERROR if problems else ExitCode.OK)


@commands.command()
def rollback(
    generation: Annotated[int, typer.Argument(help="The generation to go (back) to, see `info`.", show_default=False)],
    data_dir: DataDir = None,
    index_dir: IndexDir = None,
    as_json: JsonFlag = False,
) -> None:
    """Make another generation the current one. Nothing is deleted, so it can be undone the same way."""
    output, store = Output(as_json), _store(data_dir, index_dir)
    store.rollback(generation)
    output.emit({"generation": generation}, lambda: f"generation {generation} is current")


@commands.command()
def prune(
    keep: Annotated[int, typer.Option(min=1, help="How many of the newest generations stay.")] = 3,
    data_dir: DataDir = None,
    index_dir: IndexDir = None,
    as_json: JsonFlag = False,
) -> None:
    """Delete old generations and what only they used."""
    output, store = Output(as_json), _store(data_dir, index_dir)
    deleted = store.prune(keep)
    text = f"deleted generations: {', '.join(str(number) for number in deleted)}" if deleted else "nothing to delete"
    output.emit({"deleted": deleted, "generations": store.generations()}, lambda: text)


def _store(data_dir: Path | None, index_dir: Path | None) -> Store:
    from recognition.index.store import Store

    return Store(load_settings(data_dir, index_dir=index_dir).index_path)
