"""Whether this host's worker answers: one line, exit status 0 or 1, for container health checks.

``python -m workers.health gpu`` asks gpu@<this host>; ``--node`` or ``LANDMARQ_NODE`` names another worker.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from celery.utils.nodenames import gethostname, nodename

from config.celery import make_app
from config.settings import Settings, SettingsError, get_settings

TIMEOUT_S = 1.0


def ask(settings: Settings, node: str) -> dict[str, Any] | None:
    """What the worker says it has loaded, None when it does not answer within ``TIMEOUT_S``.

    Raises:
        OSError, kombu.exceptions.OperationalError: the broker can't be reached.
    """
    app = make_app(settings)
    replies = app.control.broadcast("landmarq", destination=[node], reply=True, timeout=TIMEOUT_S, limit=1)
    answers: dict[str, dict[str, Any]] = {name: answer for reply in replies or [] for name, answer in reply.items()}
    return answers.get(node)


def check(role: str, node: str) -> tuple[bool, str]:
    """Whether the worker is well, and one line about it."""
    try:
        settings = get_settings()
        answer = ask(settings, node)
    except SettingsError as error:
        return False, str(error)
    except Exception as error:  # whatever kombu raises, a health check has one line for it
        return False, f"can't reach the broker at {settings.redis.safe_url}: {type(error).__name__}"
    if answer is None:
        return False, f"{node} does not answer within {TIMEOUT_S} s"
    if answer.get("role") != role:
        return False, f"{node} is no {role} worker"
    if role == "gpu" and not answer.get("extractor"):
        return False, f"{node} has no extractor loaded"
    return True, f"{node} ok: " + ", ".join(f"{key}={value}" for key, value in answer.items() if key != "role")


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 when the worker is well, 1 when it is not."""
    parser = argparse.ArgumentParser(prog="python -m workers.health", description="Ask a worker of this host.")
    parser.add_argument("role", choices=("gpu", "cpu"))
    parser.add_argument("--node", default=os.environ.get("LANDMARQ_NODE"), help="default: <role>@<this host>")
    options = parser.parse_args(arguments)
    well, line = check(options.role, options.node or nodename(options.role, gethostname()))
    sys.stdout.write(line + "\n")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
