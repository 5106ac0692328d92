# SPDX-License-Identifier: Apache-2.0
"""A table as a plot: a line for each row, a dot for each column's median on a logarithmic scale, a bar between the
quartiles. Readable on light and on dark ground."""

import html
import math

COLOURS = ["#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#ff7f0e", "#17a2b8", "#8c6d31", "#7f7f7f"]
LINE, LEFT, WIDTH, TOP, RIGHT = 18, 370, 620, 66, 30


def svg(table):
    """The text of an SVG file for the JSON of a table; None if there is nothing to show."""
    found = [cell["median"] for row in table["rows"] for cell in row["cells"].values() if (cell["median"] or 0) > 0]
    if not found:
        return None
    low, high = math.floor(math.log10(min(found)) * 2) / 2, math.ceil(math.log10(max(found)) * 2) / 2
    high = max(high, low + 0.5)

    def place(value):
        return LEFT + (math.log10(value) - low) / (high - low) * WIDTH

    height = TOP + LINE * len(table["rows"])
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + RIGHT} {height + 30}" '
             'font-family="sans-serif" font-size="11">',
             "<style>text{fill:#222}.grid{stroke:#8885}.ground{fill:#fff}"
             "@media(prefers-color-scheme:dark){text{fill:#ddd}.ground{fill:#161616}}</style>",
             '<rect class="ground" width="100%" height="100%"/>',
             f'<text x="8" y="18" font-size="14">{html.escape(table["title"])} ({html.escape(table["unit"])})</text>']
    for index, column in enumerate(table["columns"]):
        parts.append(f'<circle cx="{16 + 120 * index}" cy="36" r="4" fill="{COLOURS[index % len(COLOURS)]}"/>'
                     f'<text x="{24 + 120 * index}" y="40">{html.escape(column)}</text>')
    for power in range(math.ceil(low), math.floor(high) + 1):
        for factor in (1, 2, 5):
            value = factor * 10.0 ** power
            if low <= math.log10(value) <= high:
                parts.append(f'<line class="grid" x1="{place(value):.1f}" x2="{place(value):.1f}" y1="{TOP - 8}" y2="{height}"/>'
                             f'<text x="{place(value):.1f}" y="{height + 14}" text-anchor="middle">{value:g}</text>')
    for number, row in enumerate(table["rows"]):
        y = TOP + LINE * number + 6
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end">{html.escape(row["name"])}</text>')
        for index, column in enumerate(table["columns"]):
            cell = row["cells"][column]
            if (cell["median"] or 0) <= 0:
                continue
            colour = COLOURS[index % len(COLOURS)]
            least, most = cell["quartiles"]
            if least > 0:
                parts.append(f'<line x1="{place(least):.1f}" x2="{place(most):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
                             'stroke-width="3" stroke-opacity="0.4"/>')
            parts.append(f'<circle cx="{place(cell["median"]):.1f}" cy="{y}" r="4" fill="{colour}"/>')
    return "\n".join(parts + ["</svg>"]) + "\n"
