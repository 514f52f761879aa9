"""Draws docs/src/images/levels.svg: the noise levels of a plan, and four scheduling matrices.

    python3 scripts/draw_levels.py docs/src/images/levels.svg
"""

import math
import sys

CELL = 22
INK = "#1f2430"
KNOWN, NOISE = (245, 247, 250), (74, 34, 120)


def shade(level):
    """The colour of a noise level: light is known, dark is pure noise."""
    return "#%02x%02x%02x" % tuple(round(a + (b - a) * level) for a, b in zip(KNOWN, NOISE))


def text(x, y, words, size=13, anchor="start", weight="normal"):
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" font-weight="{weight}" fill="{INK}">{words}</text>'
    )


def grid(x, y, rows):
    """Cells of a list of rows of levels."""
    cells = []
    for i, row in enumerate(rows):
        for j, level in enumerate(row):
            cells.append(
                f'<rect x="{x + j * CELL}" y="{y + i * CELL}" width="{CELL}" height="{CELL}" '
                f'fill="{shade(level)}" stroke="#c3c8d4" stroke-width="0.7"/>'
            )
    return cells


def matrix(kind, tokens, steps, slope):
    """Rows of levels as df_diffusion makes them: every token falls from 1 to 0 in `steps` rows."""
    lag = {
        "full_sequence": lambda t: 0,
        "pyramid": lambda t: slope * t,
        "autoregressive": lambda t: steps * t,
        "trapezoid": lambda t: slope * min(t, tokens - 1 - t),
    }[kind]
    rows = steps + math.ceil(max(lag(t) for t in range(tokens)))
    return [[min(1, max(0, 1 - (row - lag(t)) / steps)) for t in range(tokens)] for row in range(rows + 1)]


def window():
    """A plan before its first denoising step: 4 frames of history, 12 planned ones, the goal held for 3 of these."""
    history, future = 4, 12
    action = [0] * history + [0] + [1] * (future - 1)
    position = [0] * history + [1] * 7 + [0] * 3 + [1] * 2
    scan = [0, 0, 1, 0] + [1] * future
    return [("action", action), ("position", position), ("range", scan)]


def main(path):
    width, parts = 760, []
    parts.append(text(20, 28, "One window before the first denoising step", 15, weight="bold"))
    left, top = 110, 66
    parts.append(text(left + 2 * CELL, top - 10, "history", anchor="middle"))
    parts.append(text(left + 10 * CELL, top - 10, "planned", anchor="middle"))
    for i, (name, levels) in enumerate(window()):
        parts.append(text(left - 10, top + i * CELL + 16, name, anchor="end"))
        parts += grid(left, top + i * CELL, [levels])
    x = left + 4 * CELL
    parts.append(f'<line x1="{x}" y1="{top - 22}" x2="{x}" y2="{top + 3 * CELL + 6}" stroke="{INK}" stroke-width="2"/>')
    notes = [
        (0, "first planned action: committed, known"),
        (1, "three light cells: the goal, known for its stay"),
        (2, "third cell: a scan that did not arrive"),
    ]
    for i, words in notes:
        parts.append(text(left + 16 * CELL + 14, top + i * CELL + 16, words, 12))

    top = 190
    parts.append(text(20, top - 22, "Scheduling matrices: one row a denoising step, one column a planned token", 15, weight="bold"))
    left = 24
    for kind, tokens, steps, slope in [
        ("full_sequence", 6, 4, 0),
        ("pyramid", 6, 4, 1),
        ("autoregressive", 4, 3, 0),
        ("trapezoid", 6, 4, 1),
    ]:
        rows = matrix(kind, tokens, steps, slope)
        parts.append(text(left, top + 4, kind, 13))
        parts += grid(left, top + 14, rows)
        left += tokens * CELL + 50
    bottom = top + 14 + 13 * CELL + 40
    parts.append(text(24, bottom, "level 0: known or clean", 12))
    for i in range(11):
        parts.append(f'<rect x="{170 + i * 14}" y="{bottom - 12}" width="14" height="14" fill="{shade(i / 10)}"/>')
    parts.append(text(334, bottom, "level 1: pure noise", 12))
    height = bottom + 20
    body = "\n".join(parts)
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="DejaVu Sans, Arial, sans-serif">\n<title>Noise levels of a plan</title>\n'
        f'<rect width="{width}" height="{height}" fill="white"/>\n{body}\n</svg>\n'
    )
    with open(path, "w", encoding="utf-8") as file:
        file.write(svg)


if __name__ == "__main__":
    main(sys.argv[1])
