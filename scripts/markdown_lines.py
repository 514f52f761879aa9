"""Says of every line of a Markdown file what it is: text, code, a heading, a table, HTML or a link definition.

Shared by check_prose.py and check_links.py. It covers the Markdown of this repository, not all of CommonMark: fenced
and indented code, lists, block quotes, tables, both forms of headings, HTML lines, mdBook directives.
"""

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Line(NamedTuple):
    number: int
    # One of blank, code, definition, heading, html, item (the first line of a list item), rule, table, text.
    kind: str
    # Without quote and list markers.
    text: str


QUOTE = re.compile(r" {0,3}> ?")
FENCE = re.compile(r"(`{3,}|~{3,})")
ITEM = re.compile(r"([-*+]|\d{1,9}[.)])( +|$)")
HEADING = re.compile(r"#{1,6}(\s|$)")
UNDERLINE = re.compile(r"(=+|-{2,})\s*$")
RULE = re.compile(r"([-*_])(\s*\1){2,}\s*$")
DELIMITER_ROW = re.compile(r"\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$")
DEFINITION = re.compile(r"\[(?!\^)[^\]]+\]:\s")
HTML = re.compile(r"</?[A-Za-z][\w-]*[\s/>]")
DIRECTIVE = re.compile(r"\{\{#.*\}\}\s*$")


def classify(text):
    """The lines of a Markdown text, in order, one `Line` for each."""
    rows = text.expandtabs(4).splitlines()
    lines = []
    fence = None
    comment = table = False
    offsets = []  # Where the text of each open list begins.
    previous = "blank"
    for index, row in enumerate(rows):
        while fence is None and QUOTE.match(row):
            row = row[QUOTE.match(row).end():]
        body = row.strip()
        indent = len(row) - len(row.lstrip())
        kind = None
        if fence is not None:
            kind = "code"
            if re.fullmatch(re.escape(fence[0]) + "{%d,}" % len(fence), QUOTE.sub("", row).strip()):
                fence = None
        elif comment:
            kind = "html"
            comment = "-->" not in body
        elif not body:
            kind, table = "blank", False
        if kind is None:
            marker = ITEM.match(body)
            is_rule = bool(RULE.match(body)) and not (previous in ("text", "item") and UNDERLINE.match(body))
            if previous == "blank" or marker or HEADING.match(body) or FENCE.match(body):
                while offsets and indent < offsets[-1]:
                    offsets.pop()
            base = offsets[-1] if offsets else 0
            following = rows[index + 1].strip() if index + 1 < len(rows) else ""
            following = QUOTE.sub("", following)
            if indent >= base + 4 and previous in ("blank", "code", "heading"):
                kind = "code"
            elif FENCE.match(body):
                fence, kind = FENCE.match(body).group(1), "code"
            elif body.startswith("<!--"):
                kind, comment = "html", "-->" not in body
            elif HTML.match(body) or DIRECTIVE.match(body):
                kind = "html"
            elif HEADING.match(body):
                kind = "heading"
            elif UNDERLINE.match(body) and previous == "text" and not table and "|" not in body:
                # The paragraph above is the heading that this line underlines.
                kind = "heading"
                for at in range(len(lines) - 1, -1, -1):
                    if lines[at].kind != "text":
                        break
                    lines[at] = lines[at]._replace(kind="heading")
            elif is_rule:
                kind = "rule"
            elif table or ("|" in body and "|" in following and DELIMITER_ROW.match(following)):
                kind, table = "table", True
            elif DEFINITION.match(body):
                kind = "definition"
            elif marker and interrupts(marker.group(1), previous, offsets):
                kind = "item"
                spaces = len(marker.group(2))
                offsets.append(indent + len(marker.group(1)) + (spaces if 1 <= spaces <= 4 else 1))
                body = re.sub(r"^\[[ xX]\] ", "", body[marker.end():])
            else:
                kind = "text"
        lines.append(Line(index + 1, kind, row if kind == "code" else body))
        if not (kind == "blank" and previous == "code"):
            previous = kind
    return lines


def interrupts(marker, previous, offsets):
    """A number at the start of a wrapped line is a list item only if it is 1 or a list is open."""
    return previous != "text" or bool(offsets) or not marker[0].isdigit() or marker[:-1] == "1"


def markdown_files(*patterns):
    """The files that git tracks or would track and that match, relative to the root of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", "--", *patterns],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.splitlines()
    return [Path(name) for name in sorted(listed) if (ROOT / name).is_file()]
