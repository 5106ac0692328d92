// SPDX-License-Identifier: Apache-2.0
// `api`: what the typed interface costs beside the core's, a class and a pointer.

extension Bench {
  /// Half as fast again, as a ratio of times.
  private static var goalBesideHeap: Double { 1 / 1.5 }

  func runAPI() throws(BenchError) -> CaseReport {
    var pairs: [Answers] = []
    var endings: [Answers] = []
    for _ in 0..<rounds {
      pairs.append(try Child.measure(["api"]))
      endings.append(try Child.measure(["discard"]))
    }
    var report = CaseReport(
      "api: allocate + write 64 bytes + end, charged to a group, beside libc's malloc, 1 thread")
    func figure(
      _ name: String, _ unit: String, _ key: String, digits: Int = 2, atMost goal: Double? = nil
    ) throws(BenchError) {
      report.figures.append(
        Figure(name, unit: unit, digits: digits, samples: try pairs.samples(key), atMost: goal))
    }
    try figure("Slot in a group", "ns", "pair/slot")
    try figure("the core's pair", "ns", "pair/raw")
    try figure("Slot : the core's pair", "ratio", "pair/ratio-raw", atMost: 1.15)
    try figure("a class's instance", "ns", "pair/class")
    try figure(
      "Slot : a class's instance", "ratio", "pair/ratio-class", atMost: Self.goalBesideHeap)
    try figure("UnsafeMutablePointer", "ns", "pair/pointer")
    try figure(
      "Slot : UnsafeMutablePointer", "ratio", "pair/ratio-pointer", atMost: Self.goalBesideHeap)
    try figure("Slot, current group, in a task", "ns", "task/current")
    try figure("more than with a named group", "ns", "task/over-current", atMost: 6)
    try figure("Slot, current group, on a thread", "ns", "thread/current")
    try figure("more than with a named group, there", "ns", "thread/over-current")
    try figure("SharedSlot in a group", "ns", "more/shared")
    try figure("\(APILoops.batch) Slots in bulk, each", "ns", "more/bulk")
    try figure("RCU.read", "ns", "more/read")
    try figure("SlabArray grows, an element", "ns", "append/slab")
    try figure("SlabArray : Array", "ratio", "append/ratio-array", atMost: 1.2)
    try figure("SlabArray grows by 10, an element", "ns", "append-ten/slab")
    try figure("SlabArray : Array, by 10", "ratio", "append-ten/ratio-array", atMost: 1.2)
    try figure("SlabArray is read by index", "ns", "index/slab")
    try figure("SlabArray : Array, by index", "ratio", "index/ratio-array", atMost: 1.2)
    for size in APIMeasurement.blockSizes {
      try figure("SlabBuffer of \(size) KiB", "ns", "block-\(size)/slab")
      try figure(
        "SlabBuffer : malloc, \(size) KiB", "ratio", "block-\(size)/ratio-malloc", atMost: 2)
    }
    report.figures += try figures(of: endings)
    report.remarks = [
      "All in one process, turn by turn; all write the same 64 bytes, and the class's instance has a",
      "header of 16 more. The end of a group: the call on the user's thread, and the time of the",
      "allocator's worker on the other CPU until all is given back.",
    ]
    return report
  }

  private func figures(of endings: [Answers]) throws(BenchError) -> [Figure] {
    var figures: [Figure] = []
    let count = fixed(Double(DiscardMeasurement.objectCount), 0)
    let names = DiscardMeasurement.names
    for name in names {
      let calls = try endings.samples("\(name)/call")
      figures += [
        Figure(
          "\(count) objects and their group end, \(name)", unit: "us",
          samples: calls.map { $0 / 1e3 }),
        Figure(
          "the worker's time for it", unit: "us",
          samples: try endings.samples("\(name)/worker").map { $0 / 1e3 }),
      ]
      guard name != names[0] else { continue }
      let beside = try endings.samples("\(names[0])/call")
      figures.append(
        Figure(
          "\(name) : \(names[0])", unit: "ratio", digits: 4,
          samples: zip(calls, beside).map { $0 / $1 }, atMost: 0.01))
    }
    return figures
  }
}
