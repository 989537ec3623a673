"""One command per question: each prints a small table with ratios measured side by side, and writes JSON."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # tables, not TensorFlow's greetings
