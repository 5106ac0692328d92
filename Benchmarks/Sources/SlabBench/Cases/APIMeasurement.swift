// The child's side of `api`: typed slots beside the core's own pair, a class's and a pointer's, turn by
// turn on one thread; and the group in effect beside one that is named, in a task and outside.

import Dispatch
import Slab

enum APIMeasurement {
  /// Pairs of one sample: a few milliseconds.
  private static var pairs: Int { 1_500_000 }
  private static var warmUpPairs: Int { 30_000 }
  private static var samples: Int { 5 }

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
    }
    runInTask { timeCurrentGroup("task", loops) }
  }

  private static func timeCurrentGroup(_ key: String, _ loops: APILoops) {
    MemoryGroup.with(loops.group) {
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
