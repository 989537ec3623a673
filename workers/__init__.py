"""The two kinds of worker: ``gpu`` holds the extractor, ``cpu`` holds the index.

``celery -A workers.gpu worker`` and ``celery -A workers.cpu worker`` start them.
"""
