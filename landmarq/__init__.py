"""Recognise landmarks in photographs.

from landmarq import Client

job = Client().submit("photo.jpg")      # returns at once; the workers do the rest
answer = job.wait(timeout=30)           # the Result JSON, as a dict
answer["landmark"]                      # {"id", "title", "confidence", "inliers", "box", ...} or None: unknown
"""

from __future__ import annotations

from landmarq.client import Client, Job

__all__ = ["Client", "Job"]
