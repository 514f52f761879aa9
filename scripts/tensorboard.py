"""Converts the log of a training run to TensorBoard event files. Needs `pip install tensorboardX`.

    python3 scripts/tensorboard.py models/mine.run/log.jsonl runs/mine && tensorboard --logdir runs
"""

import json
import sys

from tensorboardX import SummaryWriter


def scalars(prefix, value):
    """Every number in a JSON value with its path. Entries of a list are named by channel or index."""
    if isinstance(value, (int, float)):
        yield prefix, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key in ("from", "to", "channel"):
                continue  # These name the entry.
            yield from scalars(f"{prefix}/{key}", inner)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            name = inner.get("channel", inner.get("to", place)) if isinstance(inner, dict) else place
            yield from scalars(f"{prefix}/{name}", inner)


def main():
    log, out = sys.argv[1:]
    with SummaryWriter(out) as writer, open(log) as lines:
        for line in map(json.loads, lines):
            for part in ("training", "validation"):
                for name, value in scalars(part, line.get(part)):
                    writer.add_scalar(name, value, line["step"])


if __name__ == "__main__":
    main()
