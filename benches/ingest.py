"""How long the package `rosbags` takes for a bag, for benches/ingest.rs.

    ingest.py BAG ROUNDS    [[messages, processor seconds] as bytes, and to objects], the fastest round of each, as JSON
"""

import json
import sys
import time
from pathlib import Path

from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader


def as_bytes(path):
    with Reader(path) as reader:
        return sum(1 for _ in reader.messages())


def to_objects(path):
    count = 0
    with AnyReader([path]) as reader:
        for connection, _, data in reader.messages():
            reader.deserialize(data, connection.msgtype)
            count += 1
    return count


def fastest(read, path, rounds):
    taken = []
    for _ in range(rounds):
        start = time.process_time()
        count = read(path)
        taken.append((count, time.process_time() - start))
    return min(taken, key=lambda round: round[1])


if __name__ == "__main__":
    path, rounds = Path(sys.argv[1]), int(sys.argv[2])
    json.dump([fastest(read, path, rounds) for read in (as_bytes, to_objects)], sys.stdout)
