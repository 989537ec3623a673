"""photo -> features, on a GPU worker."""

from __future__ import annotations

from typing import Any

from config.celery import app
from config.settings import get_settings
from recognition import images
from recognition.recognize import extract as extract_features
from tasks.pipeline import task_name
from tasks.stage import Attempt, StageTask, run
from workers import gpu
from workers.engine import limits, profile


@app.task(bind=True, base=StageTask, name=task_name("extract"), stage="extract")  # type: ignore[untyped-decorator]
def extract(self: Any, job_id: str) -> None:
    """Decode the photo and extract its features."""
    run(self, job_id, _work)


def _work(attempt: Attempt) -> bool:
    settings = get_settings()
    photo = attempt.read("photo")
    with attempt.working():
        image = images.decode(photo, limits(settings))
        features = extract_features(image, gpu.extractor(), profile(settings).extract)
    return attempt.complete("features", features.to_bytes())
