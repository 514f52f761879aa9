#!/usr/bin/env python3
"""Cuts the tracked corpora of the fuzz targets to the few inputs that cover most.

    scripts/fuzz_corpus.py [--keep N] [TARGET...]

A target's inputs are fuzz/work/TARGET (seeds and what fuzzing found here) and fuzz/corpus/TARGET (tracked). Seeds are made
anew by every scripts/fuzz.sh, so what they cover counts as covered. Of the rest, N inputs (4) that add the most edges are
chosen one by one, and fuzz/corpus/TARGET then holds these alone. Call it after scripts/fuzz.sh, which builds the targets.
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
    """The edges that each input of a folder covers."""
    with tempfile.TemporaryDirectory() as scratch:
        control, out = Path(scratch, "control"), Path(scratch, "out")
        out.mkdir()
        # All features of each input, not only those that are new with it.
        options = ["-set_cover_merge=1", f"-merge_control_file={control}", "-timeout=20", "-rss_limit_mb=1024"]
        run = subprocess.run([program(target), *options, out, folder], capture_output=True, text=True, errors="replace")
        if run.returncode != 0 or not control.is_file():
            sys.exit(f"{target}: the merge failed with {run.returncode}:\n{run.stderr[-2000:]}")
        lines = control.read_text().splitlines()
    names = lines[2 : 2 + int(lines[0])]
    edges = {}
    for line in lines:
        kind, _, rest = line.partition(" ")
        if kind == "FT":
            number, *features = (int(word) for word in rest.split())
            edges[Path(names[number]).name] = {feature // FEATURES_PER_EDGE for feature in features}
    return edges


def choose(edges, count):
    """The seeds' edges, and the inputs that add the most to them, each with what it adds."""
    seeds = set().union(*(found for name, found in edges.items() if name.startswith("seed_")))
    have, chosen = set(seeds), []
    rest = {name: found for name, found in sorted(edges.items()) if not name.startswith("seed_")}
    while rest and len(chosen) < count:
        name = max(rest, key=lambda name: len(rest[name] - have))
        added = len(rest.pop(name) - have)
        if added == 0:
            break
        have |= edges[name]
        chosen.append((name, added))
    return seeds, have, chosen


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=int, default=4, metavar="N")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    arguments = parser.parse_args()
    targets = arguments.targets or sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs"))
    print(f"{'target':<16} {'inputs':>6} {'edges':>6} {'seeds':>6} {'kept':>5} {'edges':>6} {'share':>6}")
    for target in targets:
        tracked = FUZZ / "corpus" / target
        with tempfile.TemporaryDirectory() as folder:
            for source in (FUZZ / "work" / target, tracked):
                for path in source.glob("*"):
                    name = path.name
                    if not name.startswith("seed_"):
                        name = hashlib.sha1(path.read_bytes()).hexdigest()
                    shutil.copyfile(path, Path(folder, name))
            edges = covered(target, folder)
            seeds, have, chosen = choose(edges, arguments.keep)
            everything = set().union(*edges.values())
            shutil.rmtree(tracked, ignore_errors=True)
            tracked.mkdir(parents=True)
            for name, _ in chosen:
                shutil.copyfile(Path(folder, name), tracked / name)
        print(
            f"{target:<16} {len(edges):6} {len(everything):6} {len(seeds):6} {len(chosen):5} {len(have):6} "
            f"{len(have) / len(everything):6.1%}"
        )


if __name__ == "__main__":
    main()
