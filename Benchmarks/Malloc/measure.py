# SPDX-License-Identifier: Apache-2.0
"""What compare and classic share: the allocators, interleaved runs, medians, tables."""

import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
# Debian's packages libjemalloc2, libmimalloc2.0 and libtcmalloc-minimal4.
PEERS = {"jemalloc": "libjemalloc.so.2", "mimalloc": "libmimalloc.so.2.0", "tcmalloc": "libtcmalloc_minimal.so.4"}


class Fault(Exception):
    """Something that the caller of a script has to know; the run ends."""


def say(text):
    print(text, file=sys.stderr, flush=True)


class Bench:
    """A folder for programs, and the allocators that are there. The folder is gone at the end."""

    def __init__(self, script, library, peers):
        self.script = script
        self.folder = tempfile.TemporaryDirectory(prefix="slab-malloc.")
        self.work = pathlib.Path(self.folder.name)
        # A server of a real program is another user.
        self.work.chmod(0o755)
        self.usage = self.compile("usage.c")
        self.whose = self.compile("whose.c", "-ldl")
        self.allocators = {"glibc": None}
        # What does not work is said, and the rest runs; without our own library there is nothing to compare.
        if not self.accept("slab", library):
            raise Fault(f"{library} is not the library that Scripts/libslabmalloc builds")
        libraries = pathlib.Path(f"/usr/lib/{os.uname().machine}-linux-gnu")
        for name, file in PEERS.items():
            self.accept(name, libraries / file)
        self.refused = [peer for peer in peers if not self.accept_named(peer)]

    def accept_named(self, peer):
        name, equals, path = peer.partition("=")
        if not (name and equals and path):
            say(f"{self.script}: --peer {peer}: NAME=PATH is wanted")
            return False
        if name in self.allocators:
            say(f"{self.script}: --peer {peer}: a second {name}")
            return False
        return self.accept(name, path)

    def accept(self, name, path):
        """Whether a program that is preloaded with it gets its malloc from there."""
        path = pathlib.Path(path)
        if not path.is_file():
            say(f"{self.script}: {name}: no file {path}")
            return False
        path = path.resolve()
        asked = subprocess.run([self.whose], env=environment(path), capture_output=True, text=True)
        found = asked.stdout.strip()
        if asked.returncode != 0 or not found or pathlib.Path(found).resolve() != path:
            say(f"{self.script}: {name}: {path} is no allocator to be preloaded: "
                + (asked.stderr.strip().splitlines() or [f"malloc comes from {found or 'nowhere'}"])[0])
            return False
        # Where another user can read it.
        copy = self.work / "libraries" / name / path.name
        copy.parent.mkdir(parents=True)
        shutil.copy(path, copy)
        self.allocators[name] = copy
        return True

    def compile(self, source, *options):
        program = self.work / pathlib.Path(source).stem
        subprocess.run(["cc", "-O2", "-pthread", HERE / source, "-o", program, *options], check=True)
        return str(program)

    def took(self, name, times, command, folder=None, output=None, **variables):
        """Milliseconds of user and system time of one, and KiB of the largest process."""
        result = subprocess.run(
            [self.usage, str(times), str(self.allocators[name] or ""), str(output or "/dev/null"), *map(str, command)],
            cwd=folder, env=dict(os.environ, **variables), capture_output=True, text=True)
        if result.returncode != 0:
            raise Fault(f"with {name}: {' '.join(map(str, command))} fails: {result.stderr[-800:]}")
        return read_lines(result.stdout)

    def printed(self, name, command, **variables):
        """Lines "KEY NUMBER" that a program prints."""
        result = subprocess.run(list(map(str, command)), env=environment(self.allocators[name], **variables),
                                capture_output=True, text=True)
        if result.returncode != 0:
            raise Fault(f"with {name}: {' '.join(map(str, command))} fails: {result.stderr[-800:]}")
        return read_lines(result.stdout)


def environment(library, **variables):
    result = dict(os.environ, **variables)
    if library is not None:
        result["LD_PRELOAD"] = str(library)
    return result


def read_lines(text):
    return {key: float(number) for key, number in (line.split() for line in text.splitlines())}


def interleaved(names, runs, once):
    """once(NAME), for every name in each run: {name: {key: [numbers]}}."""
    found = {name: {} for name in names}
    for _ in range(runs):
        for name in names:
            for key, number in once(name).items():
                found[name].setdefault(key, []).append(number)
    return found


median = statistics.median


def spread(numbers):
    """Half of the distance between the least and the most, as a part of the median."""
    return (max(numbers) - min(numbers)) / 2 / median(numbers) if median(numbers) else 0


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])
