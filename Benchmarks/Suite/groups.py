# SPDX-License-Identifier: Apache-2.0
"""Memory that ends together: our groups beside heaps, arenas, contexts, pools, and a list of blocks."""

import os
import pathlib

from outcome import OURS, Table

LIVE = [1000, 10_000, 100_000, 1_000_000]
# Of Debian's libtalloc2 and libapr1; they take their memory from malloc and replace none.
LIBRARIES = {"talloc": "libtalloc.so.2", "apr": "libapr-1.so.0"}
TIMES = {
    "birth": "create, 8 objects of 3 sizes",
    "life": "free all, close, create, 8 objects; first in, first out",
    "churn": "the same at random",
    "free-created": "free all and close, as created",
    "free-reversed": "free all and close, reversed",
    "free-random": "free all and close, at random",
    "close": "close, nothing inside",
    "discard": "discard with 8 objects, as created",
    "discard-random": "discard with 8 objects, at random",
}
CLOSES = {"close-p99": "p99", "close-p99.9": "p99.9"}
MILLION = {"seconds": "seconds", "cpu-seconds": "seconds of CPU", "after": "resident after a trim, to before"}
BYTES = {
    "resident": "resident",
    "addresses": "address space",
    "tables": "page tables",
    "left": "resident after the end of all and a trim",
}
# At most so long for one process, else 60 s; a group's life beside that with 1,000 live; bytes of a live group.
SECONDS, FLAT, HELD = {1_000_000: 300}, 1.3, 3072
# Nanoseconds of the 99.9th percentile; seconds for a million groups, and what stays.
CLOSE, BURIED = 10_000, {"seconds": 2, "after": 1.02}


def kinds(suite):
    """{column: (kind, library)}"""
    found = {OURS: ("slab", suite.bench.allocators[OURS])}
    for name, library in suite.bench.allocators.items():
        # Another version of it by --peer.
        if name.startswith(("mimalloc", "jemalloc")):
            found[name] = ("mimalloc" if name.startswith("mimalloc") else "jemalloc", library)
    folder = pathlib.Path(f"/usr/lib/{os.uname().machine}-linux-gnu")
    for name, file in LIBRARIES.items():
        if (folder / file).is_file():
            found[name] = (name, folder / file)
    found["malloc, list"] = ("malloc", None)
    return found


def run(suite):
    program = suite.compile("groups.c")
    columns = kinds(suite)
    tables = {}
    for live in LIVE[:2] if suite.quick else LIVE:
        times = suite.table(Table(f"groups-{live}", f"Groups, {live:,} live", "ns of CPU a group", columns, TIMES.values(),
                                  {TIMES["life"]: 1.0}, against="talloc"))
        memory = suite.table(Table(f"groups-memory-{live}", f"Memory, {live:,} live groups of 1,792 bytes", "bytes a group",
                                   columns, BYTES.values(), {BYTES["resident"]: HELD}, against=None))
        tables[live] = times, memory
        for name in LIBRARIES:
            if name not in columns:
                suite.leave_out(times, f"{name}: no {LIBRARIES[name]}")
    ends = {live: f"close, {live:,} live" for live in tables}
    closes = suite.table(Table("groups-close", "A call of close, by the clock", "ns", CLOSES.values(), ends.values(),
                               {row: CLOSE for row in ends.values()}, against=None))
    ended, held = set(), {}
    for live, (times, memory) in tables.items():
        # A million are a minute's work.
        for _ in suite.turns(1 if live >= 1_000_000 else suite.rounds):
            for name, (kind, library) in columns.items():
                if name in ended:
                    suite.leave_out(times, f"{name}: with fewer groups it did not end")
                    continue
                # What a group had where fewer were live, and half as much again.
                if name in held and not suite.has_memory(1.5 * held[name] * live):
                    suite.leave_out(times, f"{name}, {live:,} groups: too little memory")
                    continue
                found, why = suite.printed(library, [program, kind, live], 4 if suite.quick else SECONDS.get(live, 60))
                if why is not None:
                    suite.leave_out(times, f"{name}, {live:,} groups: {why}")
                    ended.add(name)
                held[name] = found.get("resident", held.get(name, 0))
                for key in CLOSES.keys() & found.keys():
                    number = found.pop(key)
                    if name == OURS:
                        closes.add(ends[live], CLOSES[key], number)
                for key, number in found.items():
                    table, titles = (times, TIMES) if key in TIMES else (memory, BYTES)
                    table.add(titles[key], name, number)
    flat(suite, tables)
    million(suite, program)


def flat(suite, tables):
    """Beside the time with 1,000 live."""
    few = tables[LIVE[0]][0].median(TIMES["life"], OURS)
    rows = {live: f"life and death, {live:,} live" for live in tables}
    table = suite.table(Table("groups-flat", "A group's life with 8 objects, by live groups", f"beside {LIVE[0]:,} live",
                              ["ratio"], rows.values(), {row: FLAT for row in rows.values()}, against=None))
    for live, (times, _) in tables.items():
        for own in times.samples[TIMES["life"]][OURS]:
            if few:
                table.add(rows[live], "ratio", own / few)


def million(suite, program):
    """Born, used and buried by two threads."""
    table = suite.table(Table("groups-million", "A million groups with 8 objects, born and buried by 2 threads", "see the row",
                              [OURS], MILLION.values(), {MILLION[key]: most for key, most in BURIED.items()}, against=None))
    for _ in suite.turns():
        found, why = suite.printed(suite.bench.allocators[OURS], [program, "slab", "million"], 120)
        if why is not None:
            suite.leave_out(table, why)
        for key, number in found.items():
            table.add(MILLION[key], OURS, number)
