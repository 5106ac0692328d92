// SPDX-License-Identifier: Apache-2.0
// The child's side of `beyond`: slab and the malloc of this process, turn by turn, with more objects at a
// time than a CPU's sheaf holds.
//
// The unit is CPU time of the thread: two threads that wait for each other, or whose CPUs others want, are
// charged for what they do.

import CBenchmark
import Glibc
import Slab

enum BeyondMeasurement {
  /// Objects that are allocated before the first is freed.
  static var workingSet: Int { 1000 }
  static var sizes: [Int] { [64, 256, 1024] }
  /// Pairs of one sample and thread.
  private static var pairs: Int { 200_000 }
  private static var samples: Int { 3 }

  /// What a thread does.
  enum Work: String, CaseIterable {
    case once, ordered, reversed, random, replaced, handed

    var title: String {
      switch self {
      case .once: "freed at once"
      case .ordered: "1,000, freed in order"
      case .reversed: "1,000, reversed"
      case .random: "1,000, at random"
      case .replaced: "1,000, replaced at random"
      case .handed: "freed on the other thread"
      }
    }
  }

  /// A row of the table.
  struct Row {
    let work: Work
    /// The group of each thread.
    let groups: [Int]

    var key: String { "\(work.rawValue)-\(groups.map(String.init).joined())" }
    var title: String {
      let threads =
        switch groups {
        case [0]: "1 thread"
        case [0, 1]: "2 threads, own groups"
        default: "2 threads, one group"
        }
      return "\(work.title), \(threads)"
    }
  }

  static var rows: [Row] {
    var rows: [Row] = []
    for work in Work.allCases {
      let threads = work == .handed ? [[0, 0]] : [[0], [0, 1], [0, 0]]
      rows += threads.map { Row(work: work, groups: $0) }
    }
    return rows.filter { $0.groups.count <= Processors.allowed.count }
  }

  static func run(objectBytes: Int) throws {
    let allocator = try SlabAllocator()
    let cache = try RawSlabCache(named: "object", objectSize: objectBytes, of: allocator)
    let tenants = [
      try allocator.makeTenant("tenant-1"), try allocator.makeTenant("tenant-2"),
    ]
    for row in rows {
      let own = row.groups.map {
        SlabMemory(allocator: allocator, cache: cache, group: tenants[$0])
      }
      let others = row.groups.map { _ in MallocMemory(objectBytes: objectBytes) }
      var slab: [Double] = []
      var peer: [Double] = []
      // The first sample warms up both.
      for sample in 0...samples {
        let times = (time(row.work, own), time(row.work, others))
        guard sample > 0 else { continue }
        slab.append(times.0)
        peer.append(times.1)
      }
      emit("\(row.key)/slab", slab.median)
      emit("\(row.key)/peer", peer.median)
      emit("\(row.key)/ratio", zip(slab, peer).map { $0 / $1 }.median)
    }
  }

  /// Nanoseconds of CPU a pair.
  private static func time<M: ObjectSource>(_ work: Work, _ memories: [M]) -> Double {
    if work == .handed { return timeHanded(memories[0]) }
    let line = StartLine(count: memories.count)
    let times = Threads.run(
      memories.map { memory in
        { () -> Int in
          let loop = WorkingSet()
          memory.run(work, in: loop, pairs: 5 * workingSet)
          line.wait()
          let start = Time.ofThread
          memory.run(work, in: loop, pairs: pairs)
          return Time.ofThread - start
        }
      })
    return Double(times.reduce(0, +)) / Double(pairs * memories.count)
  }

  /// One thread allocates boxes of objects, the other frees them. What they wait for each other is not
  /// counted.
  private static func timeHanded<M: ObjectSource>(_ memory: M) -> Double {
    let belt = Belt()
    let boxes = pairs / workingSet
    let times: [Int] = Threads.run([
      {
        var used = 0
        for number in 0..<boxes {
          let box = belt.emptyBox(number)
          let start = Time.ofThread
          unsafe memory.fill(belt.objects + box, count: workingSet)
          used += Time.ofThread - start
          belt.pass()
        }
        return used
      },
      {
        var used = 0
        for number in 0..<boxes {
          let box = belt.fullBox(number)
          let start = Time.ofThread
          unsafe memory.empty(belt.objects + box, count: workingSet)
          used += Time.ofThread - start
          belt.giveBack()
        }
        return used
      },
    ])
    return Double(times.reduce(0, +)) / Double(boxes * workingSet)
  }
}
