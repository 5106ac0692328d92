# SPDX-License-Identifier: Apache-2.0
"""One tenant's allocations while something else goes on in the allocator."""

from outcome import OURS, Table

SAMPLES = {"one": "an allocation", "pairs": "32 pairs"}
WORKS = {"quiet": "the other CPU computes", "closing": "100,000 groups close", "limit": "another tenant is at its limit",
         "reclaim": "another tenant is reclaimed"}
PERCENTILES = ["p50", "p99", "p99.9", "p99.99", "max"]
BESIDE = "p99.9 : quiet"
GOAL = 1.2


def run(suite):
    rows = {(samples, work): f"{words}, {WORKS[work]}" for samples, words in SAMPLES.items() for work in WORKS}
    goals = {row: GOAL for (_, work), row in rows.items() if work != "quiet"}
    table = suite.table(Table("tail", "Another tenant's allocations", "ns", PERCENTILES + [BESIDE], rows.values(), goals,
                              against=None))
    program = suite.compile("tail.c")
    for _ in suite.turns(suite.rounds if suite.quick else 3 * suite.rounds):
        found, why = suite.printed(suite.bench.allocators[OURS], [program, 200 if suite.quick else 1000, 100_000], 120)
        if why is not None:
            suite.leave_out(table, why)
            continue
        for (samples, work), row in rows.items():
            for percentile in PERCENTILES:
                table.add(row, percentile, found[f"{samples}/{work}/{percentile}"])
            table.add(row, BESIDE, found[f"{samples}/{work}/p99.9"] / found[f"{samples}/quiet/p99.9"])
