# SPDX-License-Identifier: Apache-2.0
"""What was measured: tables of samples, as text, as JSON and as plots."""

import math
import statistics

from measure import table as text_of

OURS = "slab"
# What ours is compared with: the least of the others in a row, of times or of bytes.
LEAST = ("fastest", "least")


def quartiles(samples):
    if len(samples) == 1:
        return [samples[0]] * 3
    return statistics.quantiles(samples, n=4, method="inclusive")


def short(number):
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


class Table:
    """Rows and columns, known before anything is measured, so that what is missing shows. A cell has a sample of each
    round. Where the columns are allocators, ours is compared with the fastest of the others, or with the one that is named:
    the median of the rounds' ratios. Else a goal is one of ours, or of the last column."""

    def __init__(self, name, title, unit, columns, rows, goals=None, against="fastest"):
        self.name, self.title, self.unit = name, title, unit
        self.columns, self.rows, self.goals = list(columns), list(rows), goals or {}
        self.against = against
        self.samples = {row: {column: [] for column in self.columns} for row in self.rows}
        self.left_out = []

    def add(self, row, column, sample):
        self.samples[row][column].append(sample)

    def median(self, row, column):
        samples = self.samples[row][column]
        return statistics.median(samples) if samples else None

    def peers(self):
        return [column for column in self.columns if column not in (OURS, "floor")]

    def fastest(self, row):
        if self.against not in LEAST:
            return self.against if self.against in self.columns else None
        medians = {peer: self.median(row, peer) for peer in self.peers()}
        return min((peer for peer in medians if medians[peer] is not None), key=medians.get, default=None)

    def ratios(self, row):
        """Of ours to the fastest peer, by rounds."""
        if OURS not in self.columns:
            return []
        fastest = self.fastest(row)
        others = self.samples[row][fastest] if fastest else []
        return [own / other for own, other in zip(self.samples[row][OURS], others) if other > 0]

    def mean(self):
        """The geometric mean of all rows' ratios."""
        ratios = [statistics.median(found) for found in map(self.ratios, self.rows) if found]
        ratios = [ratio for ratio in ratios if ratio > 0]
        return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else None

    def reached(self, row):
        if row not in self.goals:
            return None
        ours = OURS if OURS in self.columns else self.columns[-1]
        found = self.ratios(row) if self.against else self.samples[row][ours]
        return statistics.median(found) <= self.goals[row] if found else None

    def text(self):
        head = [f"{self.title} ({self.unit})"] + self.columns
        head += [f"slab : {self.against}", "quartiles"] if self.against else []
        head += ["goal", "reached"] if self.goals else []
        lines = []
        for row in self.rows:
            cells = [row] + [short(self.median(row, column)) for column in self.columns]
            if self.against:
                found = self.ratios(row)
                low, middle, high = quartiles(found) if found else (None,) * 3
                cells += [f"{middle:.2f}", f"{low:.2f} to {high:.2f}"] if found else ["", ""]
            if self.goals:
                cells += [short(self.goals.get(row)), {True: "yes", False: "**no**", None: ""}[self.reached(row)]]
            lines.append(cells)
        text = text_of(head, lines)
        mean = self.mean() if self.against else None
        if mean is not None:
            text += f"\n\nGeometric mean of the ratios: {mean:.2f}"
        return "\n\n".join([text] + self.left_out)

    def json(self):
        rows = []
        for row in self.rows:
            cells = {}
            for column, samples in self.samples[row].items():
                low, middle, high = quartiles(samples) if samples else (None,) * 3
                cells[column] = {"median": middle, "quartiles": [low, high], "samples": samples}
            found = self.ratios(row)
            rows.append({"name": row, "cells": cells, "beside": self.fastest(row) if self.against else None,
                         "ratio": statistics.median(found) if found else None, "ratios": found,
                         "goal": self.goals.get(row), "reached": self.reached(row)})
        return {"name": self.name, "title": self.title, "unit": self.unit, "columns": self.columns, "rows": rows,
                "geometric_mean": self.mean() if self.against else None, "left_out": self.left_out}
