#!/usr/bin/env python3
"""Reduces the tracked corpora of the fuzz targets to the few inputs with the largest coverage.

    scripts/fuzz_corpus.py [--total N]

A target's inputs are fuzz/work/TARGET (seeds and what fuzzing found here) and fuzz/corpus/TARGET (tracked). scripts/fuzz.sh makes
the seeds each time, so their coverage counts as given. Of the rest, N inputs (50) of all targets together are
chosen one by one, and fuzz/corpus then holds these alone. Call it after scripts/fuzz.sh, which builds the targets.
"""

import argparse
import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FUZZ = Path(__file__).resolve().parent.parent / "fuzz"
# libFuzzer numbers features as eight for each edge, one for each order of magnitude of its count.
FEATURES_PER_EDGE = 8


def program(target):
    """The program that cargo-fuzz has built."""
    version = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    host = re.search(r"^host: (\S+)$", version, re.M).group(1)
    path = FUZZ / "target" / host / "debug" / target
    if not path.is_file():
        sys.exit(f"{path} is missing: build it with `cargo fuzz build --dev --sanitizer none {target}`")
    return path


def covered(target, folder):
    """The edges that each input of a folder covers.

    Each input is run twice and keeps what both runs cover: the first input of a process runs the set-up too, and threads
    and hash maps take other ways from run to run.
    """
    with tempfile.TemporaryDirectory() as scratch:
        control, out = Path(scratch, "control"), Path(scratch, "out")
        out.mkdir()
        twice = Path(scratch, "in")
        for number in range(2):
            shutil.copytree(folder, twice / str(number))
        # All features of each input, not only those that are new with it.
        options = ["-set_cover_merge=1", f"-merge_control_file={control}", "-timeout=20", "-rss_limit_mb=512"]
        run = subprocess.run([program(target), *options, out, twice], capture_output=True, text=True, errors="replace")
        if run.returncode != 0 or not control.is_file():
            sys.exit(f"{target}: the merge failed with {run.returncode}:\n{run.stderr[-2000:]}")
        lines = control.read_text().splitlines()
    names = lines[2 : 2 + int(lines[0])]
    edges = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "FT":
            number, *features = (int(word) for word in rest.split())
            name = Path(names[number]).name
            found = {feature // FEATURES_PER_EDGE for feature in features}
            edges[name] = edges.get(name, found) & found
    return edges


def seeds_of(edges):
    return set().union(*(found for name, found in edges.items() if name.startswith("seed_")))


def choose(targets, total):
    """The inputs of each target to keep: one by one, the input that adds the largest share of its target's edges."""
    chosen = {target: [] for target in targets}
    have = {target: seeds_of(edges) for target, edges in targets.items()}
    everything = {target: set().union(*edges.values()) for target, edges in targets.items()}
    rest = [
        (target, name, found)
        for target, edges in sorted(targets.items())
        for name, found in sorted(edges.items())
        if not name.startswith("seed_")
    ]

    def gain(candidate):
        target, _, found = candidate
        return len(found - have[target]) / len(everything[target])

    for _ in range(total):
        best = max(rest, key=gain, default=None)
        if best is None or gain(best) == 0:
            break
        rest.remove(best)
        target, name, found = best
        have[target] |= found
        chosen[target].append(name)
    return chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--total", type=int, default=50, metavar="N", help="inputs to keep, of all targets together")
    arguments = parser.parse_args()
    targets = sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))
    with tempfile.TemporaryDirectory() as scratch:
        measured = {}
        for target in targets:
            tracked, inputs = FUZZ / "corpus" / target, Path(scratch, target)
            inputs.mkdir()
            if not any((FUZZ / "work" / target).glob("seed_*")):
                sys.exit(f"{FUZZ / 'work' / target} has no seeds: run scripts/fuzz.sh first")
            for source in (FUZZ / "work" / target, tracked):
                for path in source.glob("*"):
                    name = path.name
                    # A seed in the tracked corpus is an input like any other: scripts/fuzz.sh makes none of that name.
                    if source == tracked or not name.startswith("seed_"):
                        name = hashlib.sha1(path.read_bytes()).hexdigest()
                    shutil.copyfile(path, inputs / name)
            measured[target] = covered(target, inputs)
        print(f"{'target':<16} {'inputs':>6} {'edges':>6} {'seeds':>6} {'kept':>5} {'edges':>6} {'share':>6}")
        for target, names in choose(measured, arguments.total).items():
            edges = measured[target]
            tracked = FUZZ / "corpus" / target
            shutil.rmtree(tracked, ignore_errors=True)
            tracked.mkdir(parents=True)
            for name in names:
                shutil.copyfile(Path(scratch, target, name), tracked / name)
            seeds, everything = seeds_of(edges), set().union(*edges.values())
            kept = seeds.union(*(edges[name] for name in names))
            print(
                f"{target:<16} {len(edges):6} {len(everything):6} {len(seeds):6} {len(names):5} {len(kept):6} "
                f"{len(kept) / len(everything):6.1%}"
            )


if __name__ == "__main__":
    main()
