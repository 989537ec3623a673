"""Errors of the command line itself, and which exit code an error ends a command with."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from recognition.errors import LandmarqError


class BadSettings(LandmarqError):
    """A LANDMARQ_* variable has a value that can't be used."""

    code = "bad_settings"


class OutputUnwritable(LandmarqError):
    """A picture can't be written."""

    code = "output_unwritable"


class AlreadyRunning(LandmarqError):
    """Another ``landmarq up`` owns the data folder."""

    code = "already_running"


class StartFailed(LandmarqError):
    """The embedded server or a worker does not come up."""

    code = "start_failed"


class ExitCode(IntEnum):
    """What the command line ends with. Usage errors (2) and Ctrl-C (130) follow the shells' customs."""

    OK = 0
    ERROR = 1
    USAGE = 2
    UNKNOWN = 3
    UNAVAILABLE = 4
    TIMEOUT = 5
    INTERRUPTED = 130


EXIT_CODES = {"broker_unavailable": ExitCode.UNAVAILABLE, "timeout": ExitCode.TIMEOUT}

# From harmless to grave: a batch ends with the gravest of its photographs' codes.
GRAVITY = (ExitCode.OK, ExitCode.UNKNOWN, ExitCode.TIMEOUT, ExitCode.ERROR, ExitCode.UNAVAILABLE)


def exit_code(error: LandmarqError) -> ExitCode:
    """The exit code that ``error`` ends a command with."""
    return EXIT_CODES.get(error.code, ExitCode.ERROR)


def worst(codes: Iterable[ExitCode]) -> ExitCode:
    """The gravest of several photographs' codes; OK for none."""
    return max(codes, key=GRAVITY.index, default=ExitCode.OK)
