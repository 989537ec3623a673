"""The three stages as Celery tasks, the job records and the blobs between them."""
