"""What surrounds the engine: settings, the Celery app, the connection to Redis, logging."""
