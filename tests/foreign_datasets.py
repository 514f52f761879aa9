"""Writes datasets with pyarrow and h5py, for tests/foreign_datasets.rs.

    foreign_datasets.py DIR    writes DIR/v2.1, DIR/v3.0 (LeRobot), DIR/d4rl.hdf5 and DIR/minari; the rows as JSON to standard
                               output: by episode, [state of 4, action of 2]
"""

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FPS = 20
LENGTHS = [30, 700, 8, 41]


def table(episodes, fixed):
    """Rows of (number, states, actions), as the package `datasets` lays them out: lists of a fixed length, or lists."""
    lists = (lambda width: pa.list_(pa.float32(), width)) if fixed else (lambda width: pa.list_(pa.float32()))
    states = np.concatenate([states for _, states, _ in episodes])
    actions = np.concatenate([actions for _, _, actions in episodes])
    frames = np.concatenate([np.arange(len(states)) for _, states, _ in episodes])
    numbers = np.concatenate([np.full(len(states), number) for number, states, _ in episodes])
    return pa.table({
        "observation.state": pa.array(states.tolist(), lists(4)),
        "action": pa.array(actions.tolist(), lists(2)),
        "timestamp": pa.array((frames / FPS).astype(np.float32)),
        "frame_index": pa.array(frames, pa.int64()),
        "episode_index": pa.array(numbers, pa.int64()),
        "index": pa.array(np.arange(len(states)), pa.int64()),
        "task_index": pa.array(np.zeros(len(states)), pa.int64()),
        "next.done": pa.array(np.zeros(len(states), bool)),
        "task": pa.array(["push"] * len(states)),
    })


def info(version, episodes):
    number = {"dtype": "float32", "shape": [1], "names": None}
    return {
        "codebase_version": version, "fps": FPS, "total_episodes": len(episodes), "total_frames": sum(LENGTHS),
        "features": {
            "observation.state": {"dtype": "float32", "shape": [4], "names": ["x", "y", "vx", "vy"]},
            "action": {"dtype": "float32", "shape": [2], "names": {"motors": ["fx", "fy"]}},
            "observation.images.front": {"dtype": "video", "shape": [3, 48, 64], "names": ["channels", "height", "width"]},
            "timestamp": number, "frame_index": number, "episode_index": number, "index": number, "task_index": number,
        },
    }


def lerobot(folder, episodes):
    numbered = [(number, *episode) for number, episode in enumerate(episodes)]
    old, new = folder / "v2.1", folder / "v3.0"
    for place, version in ((old, "v2.1"), (new, "v3.0")):
        (place / "meta").mkdir(parents=True)
        (place / "data/chunk-000").mkdir(parents=True)
        (place / "meta/info.json").write_text(json.dumps(info(version, episodes), indent=4))
    for episode in numbered:
        pq.write_table(table([episode], fixed=True), old / f"data/chunk-000/episode_{episode[0]:06d}.parquet")
    pq.write_table(table(numbered[:2], fixed=False), new / "data/chunk-000/file-000.parquet", compression="zstd", row_group_size=100)
    pq.write_table(table(numbered[2:], fixed=True), new / "data/chunk-000/file-001.parquet", use_dictionary=False, data_page_version="2.0")


def hdf5(folder, episodes):
    with h5py.File(folder / "d4rl.hdf5", "w") as file:
        states, actions = (np.concatenate([episode[i] for episode in episodes]) for i in (0, 1))
        ends = np.cumsum(LENGTHS) - 1
        timeouts = np.zeros(len(states), bool)
        timeouts[ends[::2]] = True
        terminals = np.zeros(len(states), bool)
        terminals[ends[1::2]] = True
        file.create_dataset("observations", data=states, compression="gzip", chunks=(64, 4))
        file.create_dataset("actions", data=actions)
        file.create_dataset("terminals", data=terminals)
        file.create_dataset("timeouts", data=timeouts, compression="gzip", shuffle=True)
        file.create_dataset("metadata/algorithm", data=b"controller")
        file.create_dataset("infos/qpos", data=states[:, :2].astype(np.float64))
        file.attrs["version"] = "1"
    (folder / "minari/data").mkdir(parents=True)
    with h5py.File(folder / "minari/data/main_data.hdf5", "w", track_order=True) as file:
        for number, (states, actions) in enumerate(episodes):
            group = file.create_group(f"episode_{number}", track_order=True)
            group.create_dataset("observations", data=states, compression="gzip")
            group.create_dataset("actions", data=actions[:-1])
            group.create_dataset("terminations", data=np.zeros(len(states) - 1, bool))
            group.attrs["total_steps"] = len(states) - 1


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    random = np.random.default_rng(3)
    size = lambda length, width: (random.normal(size=(length, width)) * 10.0 ** random.integers(-20, 20, (length, width))).astype(np.float32)
    episodes = [(size(length, 4), size(length, 2)) for length in LENGTHS]
    lerobot(folder, episodes)
    hdf5(folder, episodes)
    json.dump([[[list(map(float, s)), list(map(float, a))] for s, a in zip(*episode)] for episode in episodes], sys.stdout)
