# SPDX-License-Identifier: Apache-2.0
"""A run of the suite: what its parts share, and what becomes of what they measured."""

import json
import os
import pathlib
import platform
import subprocess

from measure import Bench, Fault, environment, read_lines, say
from plot import svg

SUITE = pathlib.Path(__file__).resolve().parent
ROOT = SUITE.parent.parent


class Suite:
    def __init__(self, library, peers, quick, rounds, file, folder):
        self.bench = Bench("run", library, peers)
        self.file, self.folder = file, folder
        self.quick, self.rounds = quick, rounds
        self.options = ["-pthread", "-I", ROOT / "Sources" / "CSlab" / "include"]
        self.parts = {}
        self.load = os.getloadavg()[0]
        self.others = Others()

    def begin(self, part):
        self.part_name, self.part = part, self.parts.setdefault(part, [])

    def turns(self, count=None):
        """Rounds, each of which is said, since a long one takes minutes, and is kept, whatever ends the process then."""
        count = self.rounds if count is None else count
        for number in range(count):
            say(f"{self.part_name}: round {number + 1} of {count}")
            yield number
            self.keep()

    def keep(self):
        """What there is so far."""
        self.write(self.json(interrupted=True))

    def table(self, table):
        """Notes a table before it is filled: whatever ends the run, what is in it is kept."""
        self.part.append(table)
        return table

    def leave_out(self, table, why):
        text = f"Left out: {why}"
        if text not in table.left_out:
            table.left_out.append(text)
            say(f"run: {table.name}: {why}")

    def has_memory(self, size):
        """Whether so many bytes leave the machine half of what is free."""
        return size <= available() / 2

    def cc(self, *arguments):
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", *arguments], check=True)

    def compile(self, source, *options):
        program = self.bench.work / pathlib.Path(source).stem
        self.cc(SUITE / source, *self.options, "-o", program, *options)
        return program

    def printed(self, library, command, seconds=None, **variables):
        """Lines "KEY NUMBER" of a program that is preloaded with a library, and why there are no more of them."""
        command = [str(word) for word in command]
        # A program of ours ends with the run, and not by itself in the midst of a line.
        process = subprocess.Popen(command, env=environment(library, **variables), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        why = None
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            why = f"not done in {seconds} s"
        except KeyboardInterrupt:
            process.kill()
            process.wait()
            raise
        if process.returncode != 0 and why is None:
            why = (errors.strip().splitlines() or [f"status {process.returncode}"])[-1]
        try:
            return read_lines(output), why
        except ValueError:
            raise Fault(f"{command[0]} prints what is no figure: {output[-200:]}") from None

    def heading(self):
        lines = [f"{processor()}, {os.cpu_count()} CPUs, Linux {platform.release()}; rounds: {self.rounds}"
                 f"{' (quick)' if self.quick else ''}; load at the start {self.load:.1f}, other processes used "
                 f"{self.others.percent():.0f} % of the CPUs"]
        lines += [f"Refused: --peer {peer}" for peer in self.bench.refused]
        return "\n".join(lines)

    def text(self):
        return "\n\n".join(table.text() for tables in self.parts.values() for table in tables)

    def json(self, interrupted):
        return {"version": 1, "processor": processor(), "cpus": os.cpu_count(), "kernel": platform.release(),
                "rounds": self.rounds, "quick": self.quick, "load_average": self.load,
                "others_percent": self.others.percent(), "interrupted": interrupted,
                "allocators": list(self.bench.allocators), "refused_peers": self.bench.refused,
                "parts": {name: [table.json() for table in tables] for name, tables in self.parts.items()}}

    def write(self, result):
        if self.file:
            write(pathlib.Path(self.file), json.dumps(result, indent=1, allow_nan=False) + "\n")
        if self.folder:
            pathlib.Path(self.folder).mkdir(parents=True, exist_ok=True)
            for tables in result["parts"].values():
                for table in tables:
                    text = svg(table)
                    if text is not None:
                        write(pathlib.Path(self.folder) / f"{table['name']}.svg", text)


class Others:
    """How much of the CPUs other processes used meanwhile."""

    def __init__(self):
        self.start = self.now()

    @staticmethod
    def now():
        ticks = [int(word) for word in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        times = os.times()
        own = (times.user + times.system + times.children_user + times.children_system) * os.sysconf("SC_CLK_TCK")
        return sum(ticks), sum(ticks) - ticks[3] - ticks[4] - own

    def percent(self):
        now = self.now()
        whole = now[0] - self.start[0]
        return max(0.0, 100 * (now[1] - self.start[1]) / whole) if whole else 0.0


def write(path, text):
    """Whole or not at all."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    new.replace(path)


def available():
    for line in pathlib.Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()
