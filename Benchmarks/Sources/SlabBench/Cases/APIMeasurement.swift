// SPDX-License-Identifier: Apache-2.0
// The child's side of `api`: typed slots beside the core's own pair, a class's and a pointer's, turn by
// turn on one thread; and the current group beside one that is named, in a task and outside.

import Dispatch
import Slab

enum APIMeasurement {
  /// Pairs of one sample: a few milliseconds.
  private static var pairs: Int { 1_500_000 }
  private static var warmUpPairs: Int { 30_000 }
  private static var samples: Int { 5 }

  /// Sizes of the blocks that are made beside malloc's, in KiB.
  static var blockSizes: [Int] { [64, 1 << 10, 4 << 10] }

  static func run() throws {
    let loops = try APILoops()
    Threads.run(onProcessor: 0) {
      takeTurns(
        "pair",
        [
          ("slot", loops.slots), ("raw", loops.rawObjects), ("class", loops.classInstances),
          ("pointer", loops.pointers),
        ])
      takeTurns(
        "more",
        [("shared", loops.sharedSlots), ("bulk", loops.bulk), ("read", loops.sections)])
      timeCurrentGroup("thread", loops)
      timeStorage(StorageLoops(group: loops.group))
    }
    runInTask { timeCurrentGroup("task", loops) }
  }

  private static func timeStorage(_ loops: StorageLoops) {
    takeTurns("append", [("slab", loops.slabArrayAppends), ("array", loops.arrayAppends)])
    takeTurns(
      "append-ten", [("slab", loops.slabArrayAppendsOfTen), ("array", loops.arrayAppendsOfTen)])
    takeTurns("index", [("slab", loops.slabArrayReads), ("array", loops.arrayReads)])
    for size in blockSizes {
      takeTurns(
        "block-\(size)",
        [
          ("slab", { loops.slabBuffers(of: size << 10, pairs: $0) }),
          ("malloc", { loops.blocks(of: size << 10, pairs: $0) }),
        ])
    }
  }

  private static func timeCurrentGroup(_ key: String, _ loops: APILoops) {
    MemoryGroup.withCurrent(loops.group) {
      takeTurns(key, [("named", loops.slots), ("current", loops.slotsOfCurrentGroup)])
    }
  }

  /// A sample of each loop in turn, the first one to warm up. Reports the medians, and sample by sample
  /// the ratio of the first loop to each other one, and what each takes more than the first.
  private static func takeTurns(_ key: String, _ loops: [(name: String, run: (Int) -> Void)]) {
    var found: [[Double]] = loops.map { _ in [] }
    for turn in 0...samples {
      for (index, loop) in loops.enumerated() {
        loop.run(warmUpPairs)
        let start = Time.now
        loop.run(pairs)
        let nanoseconds = Double(Time.now - start) / Double(pairs)
        if turn > 0 { found[index].append(nanoseconds) }
      }
    }
    for (index, loop) in loops.enumerated() {
      emit("\(key)/\(loop.name)", found[index].median)
      emit("\(key)/ratio-\(loop.name)", zip(found[0], found[index]).map { $0 / $1 }.median)
      emit("\(key)/over-\(loop.name)", zip(found[index], found[0]).map { $0 - $1 }.median)
    }
  }

  /// Runs a body that does not suspend in a task, on the first CPU, and waits for it.
  private static func runInTask(_ body: @escaping @Sendable () -> Void) {
    let end = DispatchSemaphore(value: 0)
    Task {
      Processors.pin(to: 0)
      body()
      end.signal()
    }
    end.wait()
  }
}
