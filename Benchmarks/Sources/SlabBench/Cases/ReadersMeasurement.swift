// SPDX-License-Identifier: Apache-2.0
// The child's side of `readers`: reader grace periods of slab and of liburcu, turn by turn.
//
// The threads that run callbacks are on the second CPU, whoever reads, waits and calls on the first.

import Glibc
import Slab

enum ReadersMeasurement {
  static var objectBytes: Int { 64 }
  private static var samples: Int { 5 }
  /// Sections of one sample: a few milliseconds.
  private static var sections: Int { 5_000_000 }
  /// Sections after which the busy reader looks whether it may end.
  private static var readerChunk: Int { 100 }
  private static var gracePeriods: Int { 1_000 }
  private static var mostGracePeriods: Int { 100_000 }
  private static var barriers: Int { 10 }
  private static var callbacks: Int { 1_000_000 }

  static func run() throws {
    let slab = try SlabSide(objectBytes: objectBytes)
    let sides: [any GracePeriodSide] = [slab] + GracePeriodPeers.all
    if Processors.allowed.count > 1 {
      for side in sides { startWorker(of: side) }
    }
    // SAFETY: an array of heads, each of them used by one side at a time, until its callback.
    let heads = unsafe UInt(bitPattern: calloc(callbacks, SlabSide.headBytes)!)
    takeTurns("read", sides) { side in
      onFirst(side) { time(sections) { side.read(pairs: sections) } }
    }
    takeTurns("synchronize", sides) { side in
      onFirst(side) { synchronize(side) }
    }
    if Processors.allowed.count > 1 {
      takeTurns("synchronize-busy", sides) { synchronizeWhileReading($0) }
    }
    takeTurns("barrier", sides) { side in
      onFirst(side) {
        time(barriers) {
          for _ in 0..<barriers {
            unsafe side.callEmpty(heads: heads, count: 1)
            side.barrier()
          }
        }
      }
    }
    takeTurns("call", sides) { side in
      timeCallbacks(of: side) { unsafe side.callEmpty(heads: heads, count: callbacks) }
    }
    takeTurns("call-free", sides) { side in
      timeCallbacks(of: side) { side.callFree(bytes: objectBytes, count: callbacks) }
    }
    takeTurns("deferred", [slab]) { _ in
      onFirst(slab) {
        time(callbacks) {
          slab.freeAfterGracePeriod(count: callbacks)
          slab.barrier()
        }
      }
    }
  }

  /// A sample of each side in turn, the first one to warm up; reports the medians, and the ratios of
  /// slab to each other side, sample by sample.
  private static func takeTurns(
    _ key: String, _ sides: [any GracePeriodSide], _ sample: (any GracePeriodSide) -> Double
  ) {
    var found: [[Double]] = sides.map { _ in [] }
    for turn in 0...samples {
      for (index, side) in sides.enumerated() {
        let nanoseconds = sample(side)
        if turn > 0 { found[index].append(nanoseconds) }
      }
    }
    for (index, side) in sides.enumerated() {
      emit("\(key)/\(side.name)", found[index].median)
      emit("\(key)/ratio-\(side.name)", zip(found[0], found[index]).map { $0 / $1 }.median)
    }
  }

  /// Nanoseconds for each of `count` things that the body does.
  private static func time(_ count: Int, _ body: () -> Void) -> Double {
    let start = Time.now
    body()
    return Double(Time.now - start) / Double(count)
  }

  private static func onFirst(
    _ side: any GracePeriodSide, _ body: @escaping @Sendable () -> Double
  ) -> Double {
    Threads.run(onProcessor: 0) {
      side.register()
      defer { side.unregister() }
      return body()
    }
  }

  /// The thread that runs callbacks is where the first one that calls is.
  private static func startWorker(of side: any GracePeriodSide) {
    Threads.run(onProcessor: 1) {
      side.register()
      side.callFree(bytes: objectBytes, count: 1)
      side.barrier()
      side.unregister()
    }
  }

  /// The median of single calls, each with a reading of the clock in it.
  private static func synchronize(_ side: any GracePeriodSide) -> Double {
    var latencies: [Double] = []
    for _ in 0..<gracePeriods { latencies.append(time(1) { side.synchronize() }) }
    return latencies.median
  }

  /// With a thread on the other CPU that reads all the time. Only calls count during which it ran: where
  /// another process has its CPU, nobody need be interrupted, and a call is much shorter.
  private static func synchronizeWhileReading(_ side: any GracePeriodSide) -> Double {
    let line = StartLine(count: 2)
    let flag = FinishFlag()
    let progress = Progress()
    return Threads.run([
      {
        line.wait()
        var latencies: [Double] = []
        for _ in 0..<mostGracePeriods where latencies.count < gracePeriods {
          let before = progress.count
          let nanoseconds = time(1) { side.synchronize() }
          if progress.count != before { latencies.append(nanoseconds) }
        }
        flag.set()
        return latencies.median
      },
      {
        side.register()
        defer { side.unregister() }
        side.read(pairs: readerChunk)
        line.wait()
        while !flag.isOver {
          side.read(pairs: readerChunk)
          progress.add()
        }
        return 0
      },
    ])[0]
  }

  /// From the first call until the last callback has run.
  private static func timeCallbacks(
    of side: any GracePeriodSide, _ calls: @escaping @Sendable () -> Void
  ) -> Double {
    onFirst(side) {
      let end = side.ran + callbacks
      return time(callbacks) {
        calls()
        while side.ran < end {}
      }
    }
  }
}
