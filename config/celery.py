"""The Celery app: queues by resource, late acknowledgement, JSON only.

Nothing is read when this module is imported: settings are evaluated when the app's configuration is first used.
"""

from __future__ import annotations

from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from config.settings import Settings, settings_or_exit

# Interactive jobs and bulk jobs have queues of their own, and the alphabet puts the interactive one first.
GPU_QUEUES = ("gpu", "gpu.bulk")
CPU_QUEUES = ("cpu", "cpu.bulk")
QUEUES = GPU_QUEUES + CPU_QUEUES


def queue_for(resource: str, *, bulk: bool) -> str:
    """The queue of ``gpu`` or ``cpu`` work."""
    return f"{resource}.bulk" if bulk else resource


def make_app(settings: Settings | None = None) -> Celery:
    """A Celery app for these settings (None: a worker's, of the environment)."""
    app = Celery("landmarq", set_as_current=False)
    app.add_defaults(lambda: options(settings or settings_or_exit()))
    return app


def options(settings: Settings) -> dict[str, Any]:
    """Celery's configuration."""
    return {
        "broker_url": settings.redis.url,
        "broker_transport": "config.transport:Transport",
        # An explicit transport loses kombu's default for rediss://, which was not to look at the certificate anyway.
        "broker_use_ssl": {"ssl_cert_reqs": "required"} if settings.redis.url.startswith("rediss://") else None,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # a worker outlives any outage of the broker
        "broker_connection_timeout": settings.redis.connect_timeout_s,
        "broker_transport_options": transport_options(settings),
        # The job record is the result. Celery's own would be a second truth, and a subscription per task in
        # every client that publishes.
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        # Named in full: a queue without an exchange of its own would share the default queue's.
        "task_queues": [Queue(name, Exchange(name), routing_key=name) for name in QUEUES],
        "task_default_queue": "cpu",
        "task_create_missing_queues": True,
        # A message is acknowledged when its stage is over, whatever happens to the process meanwhile.
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "task_publish_retry_policy": {
            "max_retries": 20,
            "interval_start": 0.1,
            "interval_step": 0.2,
            "interval_max": 1,
        },
        "task_time_limit": settings.jobs.stage_timeout_s,
        "worker_prefetch_multiplier": 1,
        "worker_proc_alive_timeout": 60.0,  # the default of 4 s kills every slow replacement child in a loop
        "worker_send_task_events": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def transport_options(settings: Settings) -> dict[str, Any]:
    """Options of kombu's Redis transport.

    A worker that was killed loses its messages after the visibility timeout, looked for every other second; one
    that lives renews them (``workers.lease``), so that the timeout may be short though a stage may be long.
    """
    return {
        "visibility_timeout": settings.redis.visibility_timeout_s,
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
        # The mutex of a worker that was killed while restoring would block everybody's for five minutes.
        "unacked_mutex_expire": 10,
        "queue_order_strategy": "sorted",
        "priority_steps": [0],
        "socket_connect_timeout": settings.redis.connect_timeout_s,
        "socket_timeout": 10.0,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }


app = make_app()
