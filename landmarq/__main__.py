"""``python -m landmarq``."""

from landmarq.cli import main

main()
