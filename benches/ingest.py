"""How long the package `rosbags` takes for a bag, for benches/ingest.rs.

    ingest.py BAG ROUNDS    [[messages, seconds, processor seconds] as bytes, and to objects], the least of all rounds, as JSON
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
        clock, processor = time.perf_counter(), time.process_time()
        count = read(path)
        taken.append((time.perf_counter() - clock, time.process_time() - processor))
    return (count, *map(min, zip(*taken)))


if __name__ == "__main__":
    path, rounds = Path(sys.argv[1]), int(sys.argv[2])
    json.dump([fastest(read, path, rounds) for read in (as_bytes, to_objects)], sys.stdout)
