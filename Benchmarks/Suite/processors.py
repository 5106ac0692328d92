# SPDX-License-Identifier: Apache-2.0
"""What caches and groups cost where there can be many CPUs. There are as few as before: nobody uses the others."""

from outcome import OURS, Table

CPUS = ["1", "64", "256", "8192"]
BYTES = {"addresses": "address space of the process", "resident": "resident when the allocator has begun",
         "cache": "a cache with an object", "group": "a group with 8 objects of 3 caches",
         "busy": "a group that has turned over 100 objects of a cache"}
TIMES = {"cache-time": "make a cache and an object", "group-time": "make a group and 8 objects of 3 caches",
         "close": "free 8 objects and close a group",
         "busy-close": "close a group that has turned over 100 objects of a cache", "statistics": "slab_group_statistics",
         "synchronize": "slab_synchronize", "shrink": "slab_cache_shrink"}


def run(suite):
    # The first: as many as there are.
    columns = {"1": "of this machine"} | {count: f"{int(count):,}" for count in CPUS[1:]}
    tables = [(suite.table(Table(f"processors-{name}", f"CPUs that there can be: {title}", unit, columns.values(), rows.values(),
                                 against=None)), rows)
              for name, title, unit, rows in (("memory", "memory", "bytes", BYTES), ("time", "CPU time", "ns", TIMES))]
    program = suite.compile("processors.c")
    for _ in suite.turns():
        for count, column in columns.items():
            found, why = suite.printed(suite.bench.allocators[OURS], [program], 120, SLAB_CPUS=count)
            for table, rows in tables:
                if why is not None:
                    suite.leave_out(table, f"{column}: {why}")
                for key, title in rows.items():
                    if key in found:
                        table.add(title, column, found[key])
