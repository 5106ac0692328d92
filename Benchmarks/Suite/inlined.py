# SPDX-License-Identifier: Apache-2.0
"""The same pairs from Swift, inlined into the loop, beside the calls of the mallocs: the cases of slab-bench, whose peers are
those of Debian. There slab and a peer take turns in one process."""

import json
import subprocess
import sys

from outcome import OURS, Table
from suite import ROOT

CASES = {"pair": "Pairs of 64 bytes, inlined in Swift", "beyond": "Pairs beyond a sheaf, inlined in Swift"}
GOAL = 0.65


def run(suite):
    build = ["swift", "build", "--package-path", ROOT / "Benchmarks", "-c", "release", "--product", "slab-bench"]
    subprocess.run(build, check=True, stdout=sys.stderr)
    folder = subprocess.run([*build, "--show-bin-path"], check=True, capture_output=True, text=True).stdout.strip()
    for case in list(CASES)[:1 if suite.quick else None]:
        # A round of the second is more than a minute.
        runs = suite.rounds if case == "pair" else 1
        found = subprocess.run([f"{folder}/slab-bench", case, "--json", "--runs", str(runs)], check=True,
                               capture_output=True, text=True)
        result = json.loads(found.stdout)
        samples = {}
        for figure in result["cases"][case]["figures"]:
            row, _, column = figure["name"].rpartition(": ")
            samples.setdefault(row, {})[column] = figure["samples"]
        rows = [row for row in samples if OURS in samples[row]]
        columns = [column for column in samples[rows[0]] if "/" not in column and "beside" not in column]
        ratio = f"{OURS}/fastest"
        table = suite.table(Table(f"inlined-{case}", CASES[case], "ns", columns + [ratio], rows,
                                  {row: GOAL for row in rows if "1 thread" in row}, against=None))
        for row in rows:
            for column in table.columns:
                for sample in samples[row].get(column, []):
                    table.add(row, column, sample)
        for peer in result["missing_peers"]:
            suite.leave_out(table, f"{peer} is not installed")
