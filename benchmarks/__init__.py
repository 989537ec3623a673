"""One command per question: each prints a small table with ratios measured side by side, and writes JSON."""
