# SPDX-License-Identifier: Apache-2.0
"""Slabinfo and snapshots with many caches and groups."""

from outcome import OURS, Table

# There can be 65,535 caches; groups as many as there is memory for.
COUNTS = {"slabinfo": [1000, 10_000, 60_000], "snapshot": [1000, 10_000, 100_000, 1_000_000]}
WORDS = {"slabinfo": "slabinfo, a line of {:,} caches", "snapshot": "snapshot, a group of {:,} and its cache"}
COLUMNS = {"bytes": "bytes", "pieces": "pieces of 4 KiB", "whole": "one piece"}
# Nanoseconds a line; and pieces of 4 KiB beside one piece.
GOAL, PIECES = 200, 1.5


def run(suite):
    rows = {(text, count): WORDS[text].format(count)
            for text, counts in COUNTS.items() for count in (counts[:2] if suite.quick else counts)}
    table = suite.table(Table("texts", "Slabinfo and snapshots", "ns of CPU", COLUMNS.values(), rows.values(),
                              {row: GOAL for (text, _), row in rows.items() if text == "slabinfo"}, against=None))
    ratio = "pieces : one piece"
    pieces = suite.table(Table("texts-pieces", "Pieces of 4 KiB beside one piece", "ratio", [ratio], rows.values(),
                               {row: PIECES for row in rows.values()}, against=None))
    program = suite.compile("texts.c")
    for _ in suite.turns():
        for (text, count), row in rows.items():
            # A group with an object has 5.5 KB, its text 1 KB.
            if not suite.has_memory(count * 7000):
                suite.leave_out(table, f"{row}: too little memory")
                continue
            found, why = suite.printed(suite.bench.allocators[OURS], [program, text, count], 120)
            if why is not None:
                suite.leave_out(table, f"{row}: {why}")
                continue
            for key, number in found.items():
                table.add(row, COLUMNS[key], number)
            pieces.add(row, ratio, found["pieces"] / found["whole"])
