// SPDX-License-Identifier: Apache-2.0
// One run of a churn on a new allocator: makes all groups with their objects, then ends them one by
// one: offline, its objects freed, its handle given back; and waits until the last is gone.
//
// Every object is stamped, and checked when it is freed.

import Slab

@safe struct Churn {
  let load: ChurnLoad
  let design: SlabAllocator.Design
  private var roots: [RawSlabCache] = []
  private var groups: [MemoryGroup?] = []
  private var objects: [UnsafeMutableRawPointer] = unsafe []
  private var offlineLatencies = Latencies()

  init(_ load: ChurnLoad, by design: SlabAllocator.Design) {
    self.load = load
    self.design = design
  }

  /// Lives it. Nothing is left of it.
  mutating func run() throws(ToolError) -> ChurnFigures {
    let allocator = try SlabAllocator(by: design)
    // SAFETY: what lives in it, live or not, goes with this run.
    defer { unsafe allocator.unmapEverything() }
    var progress = ProgressBar()
    let start = MonotonicTime.nanoseconds()
    try makeCaches(of: allocator)
    let rootGroup = allocator.rootGroup
    for group in 0..<load.groups {
      try makeGroup(group, below: rootGroup)
      progress.show { line(group, "made") }
    }
    let middle = MonotonicTime.nanoseconds()
    for group in 0..<load.groups {
      try endGroup(group)
      progress.show { line(group, "ended") }
    }
    allocator.waitUntilIdle()
    let end = MonotonicTime.nanoseconds()
    return ChurnFigures(
      load: load, design: design, creationNanoseconds: middle - start,
      endingNanoseconds: end - middle, offline: offlineLatencies.percentiles,
      statistics: allocator.statistics)
  }

  private func line(_ group: Int, _ what: String) -> String {
    "\(design.title): \((group + 1).grouped) of \(load.groups.grouped) groups \(what)"
  }

  private mutating func makeCaches(of allocator: SlabAllocator) throws(ToolError) {
    for index in 0..<load.caches {
      let (name, bytes) = ChurnLoad.cache(index)
      do throws(SlabError) {
        roots.append(try RawSlabCache(named: name, objectSize: bytes, of: allocator))
      } catch {
        throw .allocator("make cache \(name)", error)
      }
    }
  }

  private mutating func makeGroup(_ index: Int, below root: MemoryGroup) throws(ToolError) {
    do throws(SlabError) {
      let group = try root.makeChild(named: "job-\(index)")
      groups.append(group)
      for (cache, root) in roots.enumerated() {
        for _ in 0..<load.objects {
          // SAFETY: the object is ours and as large as the stamp is told.
          let object = try unsafe root.allocate(in: group)
          unsafe stamp(unsafe objects.count, cache).write(to: object)
          unsafe objects.append(object)
        }
      }
    } catch {
      throw .allocator("make group \((index + 1).grouped) of \(load.groups.grouped)", error)
    }
  }

  private mutating func endGroup(_ index: Int) throws(ToolError) {
    let start = MonotonicTime.nanoseconds()
    do throws(SlabError) {
      try groups[index]!.close()
    } catch {
      throw .allocator("take group \(index + 1) offline", error)
    }
    offlineLatencies.add(nanoseconds: MonotonicTime.nanoseconds() - start)
    var place = index * load.caches * load.objects
    for (cache, root) in roots.enumerated() {
      for _ in 0..<load.objects {
        // SAFETY: the object is of this cache, live, and freed here only.
        let object = unsafe objects[place]
        guard unsafe stamp(place, cache).isIntact(in: object) else {
          throw .overwritten(cache: root.name, place: place, copy: 1)
        }
        unsafe root.free(object)
        place += 1
      }
    }
    groups[index] = nil
  }

  private func stamp(_ place: Int, _ cache: Int) -> ObjectStamp {
    ObjectStamp(
      place: place, copy: 0, generation: 1, objectBytes: ChurnLoad.cache(cache).objectBytes)
  }
}
