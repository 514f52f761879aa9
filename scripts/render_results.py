#!/usr/bin/env python3
"""Renders the results in benches/results/*.csv as tables of the book.

A page in docs/src/reference/results/ holds its own text. A table is described by a comment, and this
script writes the rows behind it:

    <!-- table: maze2d.csv
    where: driver = planner
    bold: chosen
    Maze = {maze}
    Return = {return} ± {return_se}
    Times as fast = {pytorch_ms/cpu_ms:.1f}
    -->
    (written by this script)
    <!-- end of table -->

`where` keeps rows whose column has this value, or one of several with `|` between them. `bold` prints
rows in bold whose column is not empty. A column of the table is a heading and a pattern. A pattern
names columns of the file, or a quotient of two, with an optional format of Python, or `+` for a
signed number. A cell is empty if a column in its pattern is. Below each table stand machine,
instruction set, date, commit and file. `table: maze2d_against_published` is computed here.

    python3 scripts/render_results.py            # write the tables
    python3 scripts/render_results.py --check    # fail if a table differs from its data

Python 3, standard library only.
"""

import csv
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "benches" / "results"
PAGES = ROOT / "docs" / "src" / "reference" / "results"
PROVENANCE = ["machine", "isa", "date", "commit"]
BLOCK = re.compile(r"(<!-- table: (?P<name>\S+)\n(?P<spec>.*?)-->\n)(?P<body>.*?)(<!-- end of table -->)", re.S)
FIELD = re.compile(r"\{(\w+)(?:/(\w+))?(?::([^}]*))?\}")


class BadResult(Exception):
    """A mistake in a file of results or in the description of a table."""


def read(name):
    """The rows of a file of results, checked."""
    path = DATA / name
    if not path.is_file():
        raise BadResult(f"{path}: there is no such file")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file, strict=True)
        rows = list(reader)
        columns = reader.fieldnames or []
    if columns[-len(PROVENANCE):] != PROVENANCE:
        raise BadResult(f"{path}: the last columns must be {', '.join(PROVENANCE)}; they are {', '.join(columns[-4:])}")
    for line, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise BadResult(f"{path}:{line}: {len(columns)} cells expected")
        if row["date"] and not re.fullmatch(r"\d{4}-\d\d-\d\d", row["date"]):
            raise BadResult(f"{path}:{line}: date: must be YYYY-MM-DD; it is `{row['date']}`")
        if row["commit"] and not re.fullmatch(r"[0-9a-f]{7,40}", row["commit"]):
            raise BadResult(f"{path}:{line}: commit: must be 7 to 40 hexadecimal digits; it is `{row['commit']}`")
    return rows


def value(row, column, where):
    if column not in row:
        raise BadResult(f"{where}: there is no column `{column}`")
    return row[column]


def cell(pattern, row, where):
    """The text of a cell; empty if a column that the pattern names is."""

    def replace(match):
        column, divisor, form = match.groups()
        text = value(row, column, where)
        if divisor:
            text = str(float(text) / float(value(row, divisor, where)))
        if form == "+":
            text = text if text.startswith("-") else f"+{text}"
        elif form:
            text = format(float(text) if "f" in form else int(text), form)
        text = re.sub(r"(?<=\d)-(?=\d)", "–", text) if re.fullmatch(r"[\d.]+-[\d.]+", text) else text
        return text.replace("±", " ± ").replace("|", "\\|")

    for column, divisor, _ in FIELD.findall(pattern):
        if not value(row, column, where) or (divisor and not value(row, divisor, where)):
            return ""
    text = FIELD.sub(replace, pattern)
    return re.sub(r"(?<![\w–])-(?=\d)", "−", text)


def provenance(rows, name):
    """Where the rows come from, by machine and day, each once and in the order of the rows."""
    machines = {}
    for row in rows:
        days = machines.setdefault(", ".join(row[key] for key in ("machine", "isa") if row[key]), {})
        commits = days.setdefault(row["date"], [])
        if row["commit"] and row["commit"] not in commits:
            commits.append(row["commit"])
    origins = []
    for machine, days in machines.items():
        known = [f"{day or 'day not recorded'} ({', '.join(commits)})" if commits else day for day, commits in days.items()]
        text = ", ".join(filter(None, [machine, *known]))
        if text:
            origins.append(text)
    measured = f"Measured: {'. '.join(origins)}. " if origins else ""
    return f"*{measured}Data: `benches/results/{name}`.*"


def markdown(headings, lines):
    rows = [headings, ["---"] * len(headings), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def table(name, spec, where):
    """A table of one file, as its description says."""
    rows, bold, columns = read(name), None, []
    for line in filter(None, map(str.strip, spec.splitlines())):
        key, separator, rest = line.partition(":")
        if key in ("where", "bold") and separator:
            if key == "bold":
                bold = rest.strip()
                continue
            column, _, wanted = (part.strip() for part in rest.partition("="))
            rows = [row for row in rows if value(row, column, where) in wanted.split("|")]
            continue
        heading, separator, pattern = (part.strip() for part in line.partition(" = "))
        if not separator:
            raise BadResult(f"{where}: `{line}`: must be `HEADING = PATTERN`, `where: COLUMN = VALUE` or `bold: COLUMN`")
        columns.append((heading, pattern))
    if not rows or not columns:
        raise BadResult(f"{where}: no row or no column is left of {name}")
    lines = []
    for row in rows:
        cells = [cell(pattern, row, where) for _, pattern in columns]
        if bold and value(row, bold, where):
            cells = [f"**{text}**" if text else "" for text in cells]
        lines.append(cells)
    return markdown([heading for heading, _ in columns], lines) + "\n" + provenance(rows, name) + "\n"


def maze2d_against_published(where):
    """Our score, the expert's and the highest published one of each cell; the method that has it."""
    published = read("published_maze2d.csv")
    drivers = {(row["driver"], row["maze"], row["task"]): row for row in read("maze2d.csv")}
    lines, ours = [], []
    for maze in ("u", "medium", "large"):
        for task in ("single", "multi"):
            planner, expert = drivers["planner", maze, task], drivers["expert", maze, task]
            column = f"{maze}_{task}"
            mean = lambda row: float(row[column].partition("±")[0])
            best = max((row for row in published if row[column]), key=mean)
            difference = float(planner["score"]) - mean(best)
            verdict = "ahead" if difference > 0 else "behind"
            if abs(difference) <= float(planner["score_se"]):
                verdict += ", within our error"
            lines.append([maze, task, cell("{score} ± {score_se}", planner, where), cell("{score}", expert, where),
                          cell(f"{{{column}}}", best, where), best["method"], f"{difference:+.1f}".replace("-", "−"), verdict])
            ours.append(planner)
    headings = ["Maze", "Task", "Our score", "Expert", "Best published", "Method", "Difference", "We are"]
    return markdown(headings, lines) + "\n" + provenance(ours, "maze2d.csv").replace(".csv`.*", ".csv` and `published_maze2d.csv`.*") + "\n"


def render(page, used):
    """The text of a page with its tables written anew."""

    def write(match):
        where = f"{page.relative_to(ROOT)}, table {match['name']}"
        if match["name"] == "maze2d_against_published":
            used.update(["maze2d.csv", "published_maze2d.csv"])
            body = maze2d_against_published(where)
        else:
            used.add(match["name"])
            body = table(match["name"], match["spec"], where)
        return f"{match[1]}\n{body}\n{match[5]}"

    text = page.read_text(encoding="utf-8")
    if text.count("<!-- table:") != len(BLOCK.findall(text)):
        raise BadResult(f"{page.relative_to(ROOT)}: a table has no `<!-- end of table -->`")
    return text, BLOCK.sub(write, text)


def main(arguments):
    if arguments not in ([], ["--check"]):
        print("usage: render_results.py [--check]", file=sys.stderr)
        return 2
    used, differing = set(), []
    try:
        for page in sorted(PAGES.glob("*.md")):
            before, after = render(page, used)
            if before != after:
                differing.append(page.relative_to(ROOT))
                if not arguments:
                    page.write_text(after, encoding="utf-8")
        files = {path.name for path in DATA.glob("*.csv")}
        if files != used:
            raise BadResult(f"in benches/results, but on no page: {', '.join(sorted(files - used))}")
        described = (DATA / "README.md").read_text(encoding="utf-8")
        missing = [name for name in sorted(files) if f"`{name}`" not in described]
        if missing:
            raise BadResult(f"benches/results/README.md does not say how these are made: {', '.join(missing)}")
    except BadResult as bad:
        print(f"render_results.py: {bad}", file=sys.stderr)
        return 1
    if arguments and differing:
        for page in differing:
            print(f"render_results.py: {page}: differs from its data; run scripts/render_results.py", file=sys.stderr)
        return 1
    for page in [] if arguments else differing:
        print(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
