"""The command line, ``landmarq``. A command lives in ``landmarq.commands`` and is registered here.

Importing this loads nothing of the engine, of the queue or of the network: ``landmarq --help`` answers at once.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version

import typer

from landmarq.commands import calibrate, compare, demo, doctor, evaluate, index, jobs, recognize, workers
from landmarq.commands.common import Group, JsonFlag
from landmarq.output import Output

EPILOG = (
    "Exit codes: 0 done, recognised · 1 error (bad input, failed job, something unhealthy) · 2 wrong usage · "
    "3 unknown landmark · 4 broker unavailable · 5 not finished in time · 130 interrupted. "
    "Several photographs: the gravest (4, 1, 5, 3, 0)."
)

app = typer.Typer(
    name="landmarq",
    cls=Group,
    help="Recognise landmarks in photographs.",
    epilog=EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)

for module in (recognize, workers, jobs, index, evaluate, compare, calibrate, doctor, demo):
    module.register(app)


@app.command(rich_help_panel="Help")
def version(as_json: JsonFlag = False) -> None:
    """Print the version."""
    try:
        found = installed_version("landmarq")
    except PackageNotFoundError:
        found = "unknown (run from a folder that is not installed)"
    Output(as_json).emit({"version": found}, lambda: f"landmarq {found}")


def main() -> None:
    """The entry point of the ``landmarq`` script and of ``python -m landmarq``."""
    app(prog_name="landmarq")


if __name__ == "__main__":
    main()
