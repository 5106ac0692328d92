// SPDX-License-Identifier: Apache-2.0
// The child's side of `groups`.

import Slab

enum GroupsMeasurement {
  private static var cycles: Int { 200_000 }

  /// The whole life of groups among `live` others; the worker is on the second CPU, or with
  /// `cpus` 1 on the user's.
  static func run(live: Int, cpus: Int, memory: MemoryPolicy) throws {
    Processors.pin(to: 0)
    var ring = try TenantRing(live: live, memory: memory)
    let before = ring.allocator.statistics.systemBytes
    // A worker inherits the CPUs of the thread that starts it.
    if cpus > 1 {
      let allocator = ring.allocator
      Threads.run(onProcessor: 1) { startWorker(of: allocator) }
    }
    try ring.fill()
    let held = ring.allocator.statistics.systemBytes - before
    emit("charged", Double(ring.allocator.rootGroup.usage) / Double(live))
    emit("bytes", Double(held) / Double(live))
    try ring.replace(max(live, 20_000))
    ring.allocator.waitUntilIdle()

    let statistics = ring.allocator.statistics
    let start = (wall: Time.now, process: Time.ofProcess, thread: Time.ofThread)
    try ring.replace(cycles)
    let replaced = (wall: Time.now, thread: Time.ofThread)
    ring.allocator.waitUntilIdle()
    let end = (wall: Time.now, process: Time.ofProcess)
    let count = Double(cycles)
    emit("wall", Double(end.wall - start.wall) / count)
    emit("wait", Double(end.wall - replaced.wall) / count)
    emit("user", Double(replaced.thread - start.thread) / count)
    emit("cpu", Double(end.process - start.process) / count)
    let after = ring.allocator.statistics
    guard after.groupsReleased - statistics.groupsReleased == cycles else {
      fatalError("slab-bench: groups were not released")
    }
    emit("batches", after.fenceBatches - statistics.fenceBatches)

    let reading = Time.readingCost
    let steps = try ring.replaceByStep(cycles / 2)
    ring.allocator.waitUntilIdle()
    for (index, name) in ["offline", "free", "release", "create", "allocate"].enumerated() {
      emit("step-\(name)", steps[index] - reading)
    }
  }

  private static func startWorker(of allocator: SlabAllocator) {
    guard (try? allocator.makeTenant("first").close()) != nil else {
      fatalError("slab-bench: no group")
    }
    allocator.waitUntilIdle()
  }
}

/// For context: the same objects by malloc, with a list for each group and no isolation.
enum ListedMallocMeasurement {
  private static var cycles: Int { 200_000 }

  static func run(live: Int) {
    Processors.pin(to: 0)
    var ring = ListedTenants(live: live)
    let before = Memory.residentBytes
    ring.fill()
    emit("bytes", Double(Memory.residentBytes - before) / Double(live))
    ring.replace(max(live, 20_000))
    let start = Time.now
    ring.replace(cycles)
    emit("wall", Double(Time.now - start) / Double(cycles))
  }
}
