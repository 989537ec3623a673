"""Run a Celery worker that does not outlive its supervisor: ``python -m landmarq.leash FD CELERY-ARGS...``.

The supervisor holds the other end of the pipe ``FD``. When it dies, however it dies, the kernel closes that end,
and the worker shuts down warmly instead of working on as an orphan. (Linux alone has a parent-death signal.)
"""

from __future__ import annotations

import os
import signal
import sys
import threading


def main() -> None:
    """Watch the pipe in a thread, and be the worker."""
    descriptor, arguments = int(sys.argv[1]), sys.argv[2:]
    os.set_inheritable(descriptor, False)
    threading.Thread(target=_watch, args=(descriptor, os.getpid()), name="leash", daemon=True).start()
    sys.argv = ["celery", *arguments]
    from celery.__main__ import main as celery

    celery()


def _watch(descriptor: int, pid: int) -> None:
    os.read(descriptor, 1)  # nobody ever writes: this returns when the supervisor is gone
    os.kill(pid, signal.SIGTERM)


if __name__ == "__main__":
    main()
