"""photo -> features, on a GPU worker."""

from __future__ import annotations

from typing import Any

from config.celery import app
from config.settings import get_settings
from recognition import images
from tasks.pipeline import task_name
from tasks.stage import StageTask, fetch, jobs, run
from workers import gpu
from workers.engine import limits


@app.task(bind=True, base=StageTask, name=task_name("extract"), stage="extract")  # type: ignore[untyped-decorator]
def extract(self: Any, job_id: str) -> None:
    """Decode the photo and extract its features."""
    run(self, job_id, _work)


def _work(job_id: str) -> bool:
    # Photographs of several jobs go through the network together; each job has its own errors.
    with gpu.batcher().job() as submit:
        features = submit(images.decode(fetch(job_id, "photo"), limits(get_settings())))
    return jobs().complete(job_id, "extract", "features", features.to_bytes())
