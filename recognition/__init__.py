"""The recognition engine: pure functions from photo bytes to a :class:`~recognition.rank.Recognition`.

    photo bytes -> image -> Features -> Candidates -> VerifiedMatches -> Recognition
                  decode   extract     match         verify             rank

Nothing here knows Celery, Redis or the settings; TensorFlow is imported by the extractors only, when they load.
"""
