#!/usr/bin/env python3
"""Checks that every relative link and anchor in the Markdown files of this repository leads somewhere.

    scripts/check_links.py [FILE...]      exit code 1 if a link is broken
    scripts/check_links.py --self-test

In the book (docs/src), SUMMARY.md must list every page, and no page may link to a file outside docs/src: mdBook renders
neither. Links to other sites are not followed.
"""

import re
import sys
import tempfile
from pathlib import Path
from urllib.parse import unquote

from markdown_lines import ROOT, classify, markdown_files

BOOK = Path("docs/src")

CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.S)
TARGET = r"(<[^<>\n]*>|(?:[^()\s<]|\((?:[^()\s])*\))(?:[^()\s]|\([^()\s]*\))*)"
INLINE = re.compile(r"\]\(\s*" + TARGET + r"(?:\s+(?:\"[^\"]*\"|'[^']*'))?\s*\)")
EMPTY = re.compile(r"\]\(\s*\)")
DEFINITION = re.compile(r"^\[(?!\^)([^\]]+)\]:\s+(<[^>]*>|\S+)")
REFERENCE = re.compile(r"(?<!\\)\[[^\[\]]+\]\[([^\[\]]+)\]")
HTML_LINK = re.compile(r"<(?:a|img|source|video)\b[^>]*?\s(?:href|src)\s*=\s*[\"']([^\"']*)[\"']", re.I)
HTML_ANCHOR = re.compile(r"<[a-z][^>]*?\s(?:id|name)\s*=\s*[\"']([^\"']+)[\"']", re.I)
SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:|//")
EXPLICIT_ID = re.compile(r"\s*\{\s*#([\w.:-]+)[^}]*\}\s*$")
LINES = re.compile(r"L(\d+)(?:-L?(\d+))?$")


def links(text):
    """`(line, target)` of every link in a Markdown text, and the references that are defined nowhere as target None."""
    lines = [line for line in classify(text) if line.kind != "code"]
    # Inline code is blanked, newlines kept: what looks like a link in it is none.
    joined = "\n".join(line.text for line in lines)
    joined = CODE.sub(lambda match: re.sub(r"[^\n]", "x", match.group()), joined)
    numbers = [line.number for line in lines]

    def at(position):
        return numbers[joined.count("\n", 0, position)]

    defined = {line.text[1:line.text.index("]")].lower() for line in lines if line.kind == "definition"}
    found = [(at(match.start()), match.group(1).strip("<>")) for match in INLINE.finditer(joined)]
    found += [(at(match.start()), "") for match in EMPTY.finditer(joined)]
    found += [(at(match.start()), match.group(1)) for match in HTML_LINK.finditer(joined)]
    found += [
        (line.number, DEFINITION.match(line.text).group(2).strip("<>"))
        for line in lines
        if line.kind == "definition" and DEFINITION.match(line.text)
    ]
    for match in REFERENCE.finditer(joined):
        if match.group(1).lower() not in defined and not match.group(1).startswith("^"):
            found.append((at(match.start()), None))
    return sorted(found, key=lambda link: link[0])


def slug(heading):
    """The anchor of a heading, by the rule of GitHub and mdBook."""
    heading = re.sub(r"!?\[([^\[\]]*)\](\([^()]*\)|\[[^\]]*\])", r"\1", heading)
    heading = re.sub(r"</?[A-Za-z][^>]*>", "", heading)
    heading = re.sub(r"\*+|(?<!\w)_+(?=\S)|(?<=\S)_+(?!\w)|`", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", heading).replace(" ", "-")


def anchors(text):
    """The anchors of a Markdown text."""
    found, counts = set(), {}
    for line in classify(text):
        if line.kind == "code":
            continue
        found.update(HTML_ANCHOR.findall(CODE.sub("", line.text)))
        if line.kind == "heading" and not re.fullmatch(r"=+|-+", line.text):
            heading = re.sub(r"^#{1,6}\s*|\s+#+\s*$", "", line.text)
            explicit = EXPLICIT_ID.search(heading)
            if explicit:
                found.add(explicit.group(1))
                continue
            name = slug(heading)
            number = counts.get(name, 0)
            counts[name] = number + 1
            found.add(name if number == 0 else f"{name}-{number}")
    return found


def broken(root, page, target):
    """Why a link from `page` (relative to `root`) leads nowhere; None if it leads somewhere."""
    if target is None:
        return "the reference is defined nowhere"
    if target == "":
        return "the link has no target"
    if SCHEME.match(target):
        return None
    address, _, anchor = target.partition("#")
    address, anchor = unquote(address.partition("?")[0]), unquote(anchor)
    in_book = BOOK in page.parents
    if not address:
        path = root / page
    elif address.startswith("/"):
        path = root / address.lstrip("/")
    else:
        path = root / page.parent / address
    path = path.resolve()
    if in_book and path.suffix == ".html" and not path.exists():
        path = path.with_suffix(".md")
    if not path.is_relative_to(root):
        return "it leaves the repository"
    if not path.exists():
        return "there is no such file"
    if in_book and not path.is_relative_to(root / BOOK):
        return f"it leaves {BOOK}: the rendered book has no such page"
    if not anchor:
        return None
    if path.is_dir():
        return "a folder has no anchors"
    if path.suffix == ".md":
        return None if anchor in anchors(path.read_text(encoding="utf-8")) else f"there is no heading #{anchor}"
    lines = LINES.match(anchor)
    if lines:
        last = int(lines.group(2) or lines.group(1))
        return None if last <= len(path.read_bytes().splitlines()) else f"the file has fewer than {last} lines"
    return f"only Markdown files have anchors such as #{anchor}"


def unlisted(root, pages):
    """Pages of the book that its table of contents does not name."""
    summary = root / BOOK / "SUMMARY.md"
    in_book = [page for page in pages if BOOK in page.parents and page.name != "SUMMARY.md"]
    if not in_book:
        return []
    if not summary.is_file():
        return [f"{BOOK}/SUMMARY.md: there is no such file"]
    targets = [target or "" for _, target in links(summary.read_text(encoding="utf-8"))]
    listed = {(summary.parent / unquote(target).partition("#")[0]).resolve() for target in targets}
    lost = [page for page in in_book if (root / page).resolve() not in listed]
    return [f"{page}: {BOOK}/SUMMARY.md does not list this page" for page in lost]


def check(root, pages):
    """The number of links in these pages, and what is wrong with them."""
    root = root.resolve()
    count, wrong = 0, unlisted(root, pages)
    for page in pages:
        for line, target in links((root / page).read_text(encoding="utf-8")):
            count += 1
            reason = broken(root, page, target)
            if reason:
                wrong.append(f"{page}:{line}: {target if target is not None else '[…][…]'}: {reason}")
    return count, wrong


def self_test():
    files = {
        "README.md": (
            "# The title\n\n[a](docs/a.md) [b](docs/a.md#two-words) ![c](c.png \"a title\") [d](#the-title)\n"
            "[e](https://example.org/x) <https://example.org> [f](mailto:a@example.org) [g](src/main.rs#L2) [h](docs)\n"
            "`[not](a.link)` and ``[not `](a.link)``\n\n    [not](a.link)\n\n```\n[not](a.link)\n```\n\n"
            "[i][Named], [j](<docs/with space.md>), [k](docs/with%20space.md), [l](/docs/a.md) <img src=\"c.png\">\n\n"
            "[named]: docs/a.md#again-1\n\n| [m](docs/a.md#own) |\n|---|\n| [n](docs/a.md#by-html) |\n"
            "\n[o `x` y](docs/a.md#a-snake_case-and-code) "
            "[p](docs/a.md#c-a-deadline-20-) [wrapped\nq](docs/a.md) x[0] a[1][^2]\n"
        ),
        "docs/a.md": (
            "# Two words\n\n## Again\n\n## Again\n\n## Explicit {#own}\n\n<a id=\"by-html\"></a>\n\n"
            "## A snake_case and `code`\n\n## C: a \"deadline\" (20 %)\n\n"
            "Underlined\n----------\n\n[up](../README.md#the-title) [u](#underlined)\n"
        ),
        "docs/with space.md": "",
        "c.png": "",
        "src/main.rs": "1\n2\n",
        "docs/src/SUMMARY.md": "# Summary\n\n- [One](one.md)\n- [Two](deep/two.md)\n",
        "docs/src/one.md": "# One\n\n[two](deep/two.md#two) [two](deep/two.html)\n",
        "docs/src/deep/two.md": "# Two\n\n[one](../one.md)\n",
    }
    bad = {
        "README.md": (
            "[a](docs/b.md) [b](docs/a.md#none)\n\n![c](d.png)\n\n[d](#none) [e](src/main.rs#L3) [f](src/main.rs#x)\n"
            "[g][undefined] [h]() [i](../outside.md) [j](docs#x)\n\n[named]: docs/none.md\n\n<img src=\"none.png\">\n"
        ),
        "docs/src/one.md": "[a](../a.md) [b](three.html)\n",
        "docs/src/lost.md": "",
    }
    expected = [
        "docs/src/lost.md: docs/src/SUMMARY.md does not list this page",
        "README.md:1: docs/b.md: there is no such file", "README.md:1: docs/a.md#none: there is no heading #none",
        "README.md:3: d.png: there is no such file", "README.md:5: #none: there is no heading #none",
        "README.md:5: src/main.rs#L3: the file has fewer than 3 lines",
        "README.md:5: src/main.rs#x: only Markdown files have anchors such as #x",
        "README.md:6: […][…]: the reference is defined nowhere", "README.md:6: : the link has no target",
        "README.md:6: ../outside.md: it leaves the repository", "README.md:6: docs#x: a folder has no anchors",
        "README.md:8: docs/none.md: there is no such file", "README.md:10: none.png: there is no such file",
        "docs/a.md:18: ../README.md#the-title: there is no heading #the-title",
        "docs/src/one.md:1: ../a.md: it leaves docs/src: the rendered book has no such page",
        "docs/src/one.md:1: three.html: there is no such file",
    ]
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for written, count, wrong in [(files, 25, []), (files | bad, None, expected)]:
            for name, text in written.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text, encoding="utf-8")
            got_count, got = check(root, [Path(name) for name in written if name.endswith(".md")])
            if sorted(got) != sorted(wrong) or count not in (None, got_count):
                failed += 1
                print(f"{got_count} links, expected {count}")
                for text in sorted(set(got) ^ set(wrong)):
                    print(f"  {'got' if text in got else 'expected'}: {text}")
    print(f"self-test: {2 - failed} passed, {failed} failed")
    return not failed


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    pages = [Path(name).resolve().relative_to(ROOT) for name in arguments] or markdown_files("*.md")
    if not pages:
        print("links: no Markdown file")
        return False
    count, wrong = check(ROOT, pages)
    for text in wrong:
        print(text)
    print(f"links: {count} in {len(pages)} files, {len(wrong)} broken")
    return not wrong


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
