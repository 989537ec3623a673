"""From settings to the engine's arguments, and what both kinds of worker have in common."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
from celery import Celery, signals
from celery.utils.nodenames import gethostname, nodename
from celery.worker.control import inspect_command
from click.core import ParameterSource
from pydantic import BaseModel

from config.logging import setup
from config.settings import Settings, get_settings, settings_or_exit
from recognition.images import ImageLimits
from recognition.profiles import PROFILES, Profile
from workers.lease import Lease

if TYPE_CHECKING:
    from recognition.extractors.base import Extractor

Params = TypeVar("Params")

# Modules that tell which libraries a process has loaded, for health checks and tests.
HEAVY = ("tensorflow", "scipy", "cv2", "h5py")


def profile(settings: Settings) -> Profile:
    """The profile named in the settings, with what they override."""
    base = PROFILES[settings.profile]
    return replace(
        base,
        extract=_overridden(base.extract, settings.extract),
        match=_overridden(base.match, settings.match),
        verify=_overridden(base.verify, settings.verify),
        rank=_overridden(base.rank, settings.rank),
    )


def _overridden(params: Params, section: BaseModel) -> Params:
    changes = {name: value for name, value in section.model_dump().items() if value is not None}
    return replace(params, **changes)  # type: ignore[type-var]


def limits(settings: Settings) -> ImageLimits:
    """What is accepted as a photograph."""
    return ImageLimits(**settings.image.model_dump())


def make_extractor(settings: Settings) -> Extractor:
    """The extractor that the settings name, with the embedding that they name; nothing is loaded yet.

    The profile ``seed`` has no embedding: the origin had none.

    Raises:
        ExtractorUnavailable: it can't be had.
    """
    from recognition.extractors import create

    section: BaseModel = settings.delf if settings.extractor == "delf" else settings.xfeat
    local = create(settings.extractor, **section.model_dump())
    if settings.embedding == "none" or settings.profile == "seed":
        return local
    from recognition.embedding.extractor import EmbeddingExtractor
    from recognition.embedding.global_descriptor import GlobalDescriptor

    return EmbeddingExtractor(local, GlobalDescriptor())


@dataclass(frozen=True)
class Role:
    """What makes a worker of the one Celery app a GPU worker or a CPU worker."""

    name: str
    queues: Sequence[str]
    tasks: Sequence[str]
    prepare: Callable[[Any], None]
    loaded: Callable[[], Mapping[str, object]]


def assume(role: Role, app: Celery) -> None:
    """Make the worker that this process may become one of this role. Nothing is loaded before it does."""
    app.add_defaults({"include": list(role.tasks)})
    app.steps["consumer"].add(Lease)

    # A module's own name, <role>@<host>, keeps two workers of one machine apart; -n and -Q override.
    def on_celeryd_init(instance: Any, options: Mapping[str, Any], **_: object) -> None:
        settings = settings_or_exit()
        setup(settings.log.level, settings.log.json_lines)
        if not explicit("hostname"):
            instance.hostname = nodename(role.name, gethostname())
        if not options.get("queues"):
            app.amqp.queues.select(role.queues)

    def on_worker_init(sender: Any, **_: object) -> None:
        role.prepare(sender)
        # What is loaded by now stays: no collection need look through it, and no forked process copy it.
        gc.collect()
        gc.freeze()

    def landmarq(state: Any, **_: object) -> dict[str, object]:
        """What this worker has loaded."""
        libraries = [name for name in HEAVY if name in sys.modules]
        return {"role": role.name, "libraries": libraries, **role.loaded()}

    signals.celeryd_init.connect(on_celeryd_init, weak=False)
    signals.worker_init.connect(on_worker_init, weak=False)
    signals.setup_logging.connect(_on_setup_logging, weak=False)
    inspect_command()(landmarq)


def _on_setup_logging(loglevel: int | None = None, **_: object) -> None:
    """Take logging over from Celery; ``-l`` on the command line wins over the settings."""
    settings = get_settings()
    level = logging.getLevelName(loglevel) if loglevel and explicit("loglevel") else settings.log.level
    setup(level, settings.log.json_lines)


def explicit(option: str) -> bool:
    """Whether an option of ``celery worker`` was given on the command line."""
    context = click.get_current_context(silent=True)
    return context is not None and context.get_parameter_source(option) is ParameterSource.COMMANDLINE


def refuse(message: str) -> NoReturn:
    """End the process with one line on standard error and exit status 1."""
    raise SystemExit(f"landmarq: {message}")
