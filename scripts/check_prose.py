#!/usr/bin/env python3
"""Checks the length of sentences in the book, the decision records, README, CONTRIBUTING and SECURITY.

    scripts/check_prose.py [FILE...]      exit code 1 if a rule is broken
    scripts/check_prose.py --self-test

The mean is at most 18 words a sentence, over all files together. No sentence has more than 40. Code, tables, headings,
HTML, pictures and the addresses of links do not count. A list item is one sentence or several. Inline code and a formula
are one word each.
"""

import io
import re
import sys
from contextlib import redirect_stdout
from typing import NamedTuple

from markdown_lines import ROOT, classify, markdown_files

MAX_MEAN_WORDS = 18.0
MAX_WORDS = 40
# Each must match a file: a check that reads nothing must not pass.
PATTERNS = [":(glob)docs/src/**/*.md", ":(glob)docs/adr/*.md", "README.md", "CONTRIBUTING.md", "SECURITY.md"]
# The table of contents of the book: links and nothing else.
LEFT_OUT = {"SUMMARY.md"}

# Stands for inline code and formulas: one word, and a sentence may begin with it.
CODE = "\x02code"
# A full stop after these ends no sentence.
ABBREVIATIONS = {"e.g.", "i.e.", "cf.", "vs.", "al.", "fig.", "eq.", "sec.", "approx.", "resp.", "ca.", "st.", "dr."}
END = re.compile(r"[.!?][\"')\]”’]*(\s+)(?=[\"'(\[“‘]*[A-Z0-9\x02])")


class Sentence(NamedTuple):
    line: int
    text: str
    words: int
    in_list: bool


def keep_newlines(replacement):
    """A replacement that keeps the newlines of what it replaces, so that line numbers stay right."""
    return lambda match: match.expand(replacement) + "\n" * (
        match.group().count("\n") - match.expand(replacement).count("\n")
    )


INLINE = [
    (re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.S), CODE),
    (re.compile(r"\\\\\((.+?)\\\\\)|\$\$(.+?)\$\$|(?<![\w$])\$(?!\s)([^$]+?)(?<!\s)\$(?![\w$])", re.S), CODE),
    (re.compile(r"!\[[^\]]*\](\([^)]*\)|\[[^\]]*\])"), ""),
    (re.compile(r"\[\^[^\]]+\]:?"), ""),
    (re.compile(r"\[([^\[\]]*)\]\(\s*(<[^>]*>|(?:[^()\s]|\([^()]*\))*)(\s+\"[^\"]*\")?\s*\)"), r"\1"),
    (re.compile(r"\[([^\[\]]+)\]\[[^\]]*\]"), r"\1"),
    (re.compile(r"<(https?|mailto):[^>]*>|https?://\S+[^\s.,;)]"), "link"),
    (re.compile(r"</?[A-Za-z][^>]*>|<!--.*?-->", re.S), ""),
    (re.compile(r"\*+|(?<!\w)_+|_+(?!\w)|~~"), ""),
    (re.compile(r"\\([^\w\s])"), r"\1"),
]


def plain(text):
    """Markdown without its inline marks."""
    for pattern, replacement in INLINE:
        text = pattern.sub(keep_newlines(replacement), text)
    return text


def split(text):
    """Where sentences begin and end, as pairs of positions in a paragraph."""
    start = 0
    for match in END.finditer(text):
        last = text[start:match.start(1)].split()[-1].lstrip("(\"'“‘[")
        if last.lower() in ABBREVIATIONS or re.fullmatch(r"[A-Z]\.", last):  # An initial.
            continue
        yield start, match.start(1)
        start = match.end(1)
    yield start, len(text)


def sentences(markdown):
    """The sentences of a Markdown text with their first lines."""
    paragraph, first, in_list = [], 0, False
    found = []

    def flush():
        text = plain("\n".join(paragraph))
        for start, end in split(text):
            piece = text[start:end]
            words = sum(any(c.isalnum() for c in word) for word in piece.split())
            if words:
                line = first + text[:start].count("\n") + len(piece[: len(piece) - len(piece.lstrip())].split("\n")) - 1
                found.append(Sentence(line, " ".join(piece.replace(CODE, "`…`").split()), words, in_list))
        paragraph.clear()

    for line in classify(markdown):
        if line.kind not in ("text", "item") or line.kind == "item":
            flush()
        if line.kind in ("text", "item"):
            if re.fullmatch(r"\[![A-Z]+\]", line.text):  # > [!NOTE]
                continue
            if not paragraph:
                first = line.number
                # Text after a blank line within an item still belongs to the list; it is counted as running text.
                in_list = line.kind == "item"
            paragraph.append(line.text)
    flush()
    return found


def mean(counts):
    return sum(counts) / len(counts) if counts else 0.0


def report(texts):
    """Prints the figures of `(name, Markdown)` pairs and every offender; returns whether the rules are kept."""
    everything, offenders = [], []
    print(f"{'sentences':>9} {'mean':>6} {'longest':>7}  file")
    for name, text in texts:
        found = sentences(text)
        everything += found
        counts = [sentence.words for sentence in found]
        print(f"{len(counts):9} {mean(counts):6.1f} {max(counts, default=0):7}  {name}")
        offenders += [(name, sentence) for sentence in found if sentence.words > MAX_WORDS]
    counts = [sentence.words for sentence in everything]
    running = [sentence.words for sentence in everything if not sentence.in_list]
    for name, sentence in offenders:
        print(f"{name}:{sentence.line}: {sentence.words} words, more than {MAX_WORDS}: {sentence.text[:100]}…")
    too_long = mean(counts) > MAX_MEAN_WORDS
    print(
        f"prose: {len(counts)} sentences, {sum(counts)} words, mean {mean(counts):.2f} "
        f"(at most {MAX_MEAN_WORDS:g}; without list items {mean(running):.2f}), longest {max(counts, default=0)} (at most {MAX_WORDS}): "
        f"{len(offenders)} too long, mean {'too high' if too_long else 'kept'}"
    )
    return not offenders and not too_long


def self_test():
    def lengths(markdown):
        return [(sentence.line, sentence.words) for sentence in sentences(markdown)]

    cases = [
        ("One two three. Four five!", [(1, 3), (1, 2)]),
        ("One two\nthree. Four\nfive six.\n", [(1, 3), (2, 3)]),
        # What does not count.
        ("# A heading\n\nOne two.\n", [(3, 2)]),
        ("A heading\n=========\n\nOne two.\n", [(4, 2)]),
        ("Text.\n\n```\nfn main() {}\n```\nOne two.\n", [(1, 1), (6, 2)]),
        ("Text.\n\n~~~\n```\none two\n~~~\n", [(1, 1)]),
        ("Text:\n\n    code of many words\n\n    and more\n\nOne.\n", [(1, 1), (7, 1)]),
        ("| a b | c |\n|---|---|\n| d e f | g |\n\nOne.\n", [(5, 1)]),
        ("a | b\n--|--\nc | d\n", []),
        ("<!-- a comment\nof two lines -->\n<p align=\"center\">\n\nOne.\n", [(5, 1)]),
        ("{{#include x.md}}\n\nOne.\n", [(3, 1)]),
        ("---\n\nOne two.\n\n***\n", [(3, 2)]),
        ("[ref]: https://example.org/a/b\n", []),
        ("![a picture of much](a.png)\n", []),
        # Inline marks.
        ("See [the book](docs/src/a_b.md) now.", [(1, 4)]),
        ("See [the book](docs/src/a.md \"a title\") now.", [(1, 4)]),
        ("See [the\nbook](a.md) now. Then\nmore.", [(1, 4), (2, 2)]),
        ("Run `cargo build --release` now. `x` is one.", [(1, 3), (1, 3)]),
        ("A `code that\nwraps` here.\nAnd so on.", [(1, 3), (3, 3)]),
        ("The level $k_t = 0$ is *clean*. **Bold one.**", [(1, 5), (1, 2)]),
        ("Use `a` or https://example.org/x.y?z=1. Then stop.", [(1, 4), (1, 2)]),
        ("A snake_case_name and __strong__ words.", [(1, 5)]),
        # Where sentences end.
        ("Use a cost, e.g. Goal or Path, i.e. One. Version 1.95.0 is needed.", [(1, 9), (1, 4)]),
        ("It says \"stop.\" Then (yes.) It goes.", [(1, 3), (1, 2), (1, 2)]),
        ("Chen et al. 2024 say so. It holds.", [(1, 6), (1, 2)]),
        ("It takes 10 s. 20 s are too many.", [(1, 4), (1, 5)]),
        # Lists and quotes.
        ("- one two\n- three four five\n  six\n", [(1, 2), (2, 4)]),
        ("1. One. Two three.\n2. Four\n\n   Five six.\n", [(1, 1), (1, 2), (2, 1), (4, 2)]),
        ("- item\n\n      code in it\n\n- [ ] task\n", [(1, 1), (5, 1)]),
        ("Since\n2024. It holds.\n", [(1, 2), (2, 2)]),
        ("> [!NOTE]\n> One two.\n", [(2, 2)]),
        ("> ```\n> one two\n> ```\n> One.\n", [(4, 1)]),
        ("* a - b – c\n", [(1, 3)]),
    ]
    failed = [(text, lengths(text), expected) for text, expected in cases if lengths(text) != expected]
    for text, got, expected in failed:
        print(f"{text!r}\n  got      {got}\n  expected {expected}")
    # The rules themselves: 40 words are kept, 41 are not; a mean of 18 is kept, of 19 is not.
    def words(count):
        return "Word" + " word" * (count - 1) + ". "

    rules = [
        (words(40) + words(1) * 9, True), (words(41) + words(1) * 9, False),
        (words(18) * 3, True), (words(19) * 3, False), (words(18) + words(19), False),
    ]
    with redirect_stdout(io.StringIO()):
        broken = [text for text, kept in rules if report([("self-test", text)]) != kept]
    print("".join(f"the rules are not kept: {text!r}\n" for text in broken), end="")
    failed += broken
    print(f"self-test: {len(cases) + len(rules) - len(failed)} passed, {len(failed)} failed")
    return not failed


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if arguments:
        names = arguments
        return report([(name, open(name, encoding="utf-8").read()) for name in names])
    files = []
    for pattern in PATTERNS:
        matching = [name for name in markdown_files(pattern) if name.name not in LEFT_OUT]
        if not matching:
            print(f"prose: no file matches {pattern}")
            return False
        files += matching
    return report([(name, (ROOT / name).read_text(encoding="utf-8")) for name in files])


if __name__ == "__main__":
    sys.exit(0 if main(sys.argv[1:]) else 1)
