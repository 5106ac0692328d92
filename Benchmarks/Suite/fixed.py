# SPDX-License-Identifier: Apache-2.0
"""Pairs of one size, through malloc and free, beside every allocator."""

import statistics

from measure import Fault
from outcome import Table
from suite import SUITE

SIZES = [16, 64, 256, 1024, 8192]
COUNTS = [100, 1000, 100_000]
THREADS = [1, 2, 4, 8]


def patterns(counts, threads):
    yield "once", "freed at once"
    for count in counts:
        for order, words in (("ordered", "in order"), ("reversed", "reversed"), ("random", "at random")):
            yield f"{order}-{count}", f"{count:,} {words}"
    yield "replaced", "random replacement among 1,000"
    if threads % 2 == 0:
        yield "handed", "freed by another thread"


def settings(threads):
    for count in threads:
        yield from [(count, "own"), (count, "one")] if count > 1 else [(1, "own")]


def words(threads, groups):
    if threads == 1:
        return "1 thread"
    return f"{threads} threads, " + ("own groups" if groups == "own" else "one group")


def goal(key, threads, groups):
    return 1.2 if threads > 1 and groups == "one" and key != "handed" else 1.0


def run(suite):
    sizes, counts, threads = (SIZES, COUNTS, THREADS) if not suite.quick else ([64, 1024], [100, 1000], [1, 2])
    milliseconds = 2 if suite.quick else 8
    program, floor = programs(suite)
    plan = []
    for size in sizes:
        rows, goals, jobs = [], {}, []
        for number, groups in settings(threads):
            kept = [count for count in counts if suite.has_memory(3 * number * count * size)]
            titles = {}
            for key, title in patterns(counts, number):
                # A producer makes objects in its own group in any case.
                if key == "handed" and groups == "own":
                    continue
                titles[key] = f"{title}, {words(number, groups)}"
                goals[titles[key]] = goal(key, number, groups)
            rows += titles.values()
            jobs.append((number, groups, titles, kept))
        table = suite.table(Table(f"fixed-{size}", f"Pairs of {size:,} bytes", "ns of CPU",
                                  ["floor"] + list(suite.bench.allocators), rows, goals))
        for number, groups, titles, kept in jobs:
            for count in set(counts) - set(kept):
                suite.leave_out(table, f"{words(number, groups)}, {count:,} objects of {size:,} bytes: too little memory")
        plan.append((table, size, jobs))
    for _ in suite.turns():
        for table, size, jobs in plan:
            for threads, groups, titles, kept in jobs:
                for name in table.columns:
                    command = [floor if name == "floor" else program, size, threads, groups, milliseconds, *kept]
                    try:
                        found = suite.bench.printed("glibc" if name == "floor" else name, command)
                    except Fault as fault:
                        suite.leave_out(table, str(fault))
                        continue
                    for key, sample in found.items():
                        if key in titles:
                            table.add(titles[key], name, sample)
            suite.keep()
    summarise(suite, plan)


def summarise(suite, plan):
    """The ratios of all cells, a row for each size and pattern."""
    columns = {job[:2]: words(*job[:2]) for job in plan[0][2]}
    rows = {}
    for table, size, jobs in plan:
        for threads, groups, titles, _ in jobs:
            for key, title in titles.items():
                row = f"{size:,} B: {title.rpartition(words(threads, groups))[0].rstrip(', ')}"
                rows.setdefault(row, {})[columns[threads, groups]] = table.ratios(title)
    ratios = suite.table(Table("fixed-ratios", "Pairs of one size", "slab : fastest", columns.values(), rows, against=None))
    for row, cells in rows.items():
        for column, found in cells.items():
            for ratio in found:
                ratios.add(row, column, ratio)
    means = {column: [statistics.median(cells[column]) for cells in rows.values() if cells.get(column)]
             for column in columns.values()}
    means["all"] = [ratio for found in means.values() for ratio in found]
    table = suite.table(Table("fixed-means", "Pairs of one size, geometric means", "slab : fastest", ["ratio"], means,
                              against=None))
    for row, found in means.items():
        if found:
            table.add(row, "ratio", statistics.geometric_mean(found))


def programs(suite):
    """That which calls the allocator, and that which calls two functions that do nothing, in a library as well."""
    library = suite.bench.work / "libempty.so"
    suite.cc("-shared", "-fPIC", SUITE / "empty.c", "-o", library)
    source, common = SUITE / "fixed.c", suite.options
    suite.cc(source, *common, "-o", suite.bench.work / "fixed")
    suite.cc("-DFLOOR", source, *common, library, f"-Wl,-rpath,{suite.bench.work}", "-o", suite.bench.work / "fixed-floor")
    return suite.bench.work / "fixed", suite.bench.work / "fixed-floor"
