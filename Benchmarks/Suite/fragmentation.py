# SPDX-License-Identifier: Apache-2.0
"""Resident memory beside what is used: mixes of sizes that come and go, each size by itself, and recordings."""

import gzip
import re

from measure import Fault
from outcome import Table
from suite import ROOT

MIX = {"grown": "grown", "changed-1": "as many replaced, larger sizes", "changed-2": "again, still larger", "changed-3": "again",
       "changed-4": "again", "tenth": "nine tenths freed at random", "tenth-second": "a second later, no call",
       "tenth-calls": "another second, with calls", "regrown": "grown again", "gone": "all freed, to what was live",
       "gone-second": "a second later, no call, to what was live"}
SESSIONS = {key: title.replace("at random", "in rows") for key, title in MIX.items() if not key.startswith("changed")}
SIZES = [16, 24, 48, 64, 96, 100, 128, 200, 256, 320, 500, 768, 1000, 1024, 1500, 2048, 3000, 4096, 6000, 9000, 16384, 20000,
         32768, 50000]
RECORDINGS = {"transient-300-thinned": ROOT / "Tests/SlabToolTests/Resources/transient-300-thinned.ftrace.txt.gz",
              "transient": ROOT / "Sources/SlabTool/Resources/transient.ftrace.txt.gz"}
ALLOCATED = re.compile(r" (?:kmalloc|kmem_cache_alloc)\w*: .*ptr=(\w+) .*bytes_req=(\d+)")
FREED = re.compile(r" (?:kfree|kmem_cache_free): .*ptr=(\w+)")


def run(suite):
    program = suite.compile("fragmentation.c")
    mebibytes = 16 if suite.quick else 128
    plan = []
    for name, title, keys in (("mix", "Sizes of 16 to 4,096 bytes, each block by itself", MIX),
                              ("sessions", "Sizes of 16 to 4,096 bytes, blocks of a kind go together", SESSIONS)):
        plan.append((new_table(suite, name, f"{title}, {mebibytes} MiB", keys.values()), [name, mebibytes], keys))
    sizes = {str(size): f"{size:,} bytes" for size in (SIZES[::6] if suite.quick else SIZES)}
    table = new_table(suite, "sizes", "16 MiB of one size", sizes.values())
    plan += [(table, ["size", key], sizes) for key in sizes]
    recordings = {name: f"recording {name}" for name in list(RECORDINGS)[:1 if suite.quick else None]}
    table = new_table(suite, "recordings", "Most that was resident, to the most that was live", recordings.values())
    for name, title in recordings.items():
        plan.append((table, ["recording", translated(suite, name)], {"peak": title}))
    for _ in suite.turns():
        for table, arguments, keys in plan:
            for name in table.columns:
                try:
                    found = suite.bench.printed(name, [program, *arguments])
                except Fault as fault:
                    suite.leave_out(table, str(fault))
                    continue
                for key, number in found.items():
                    if key in keys:
                        table.add(keys[key], name, number)


def new_table(suite, name, title, rows):
    return suite.table(Table(f"fragmentation-{name}", title, "resident : used", suite.bench.allocators, rows, against="least"))


def translated(suite, name):
    """The recording as the program reads it: each object has a number, that of its address is used again. Nothing
    is freed of what the recording leaves live."""
    numbers, free, live, lines = 0, [], {}, []
    with gzip.open(RECORDINGS[name], "rt") as file:
        for line in file:
            allocated, freed = ALLOCATED.search(line), FREED.search(line)
            address = (allocated or freed)[1] if allocated or freed else None
            if address in live:
                free.append(live.pop(address))
                lines.append(f"f {free[-1]}")
            if allocated:
                if not free:
                    free.append(numbers)
                    numbers += 1
                live[address] = free.pop()
                lines.append(f"a {live[address]} {allocated[2]}")
    path = suite.bench.work / f"{name}.txt"
    path.write_text("\n".join(lines) + "\n")
    return path
