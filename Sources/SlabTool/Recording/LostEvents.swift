// SPDX-License-Identifier: Apache-2.0
// Lines that say that events were lost: the buffer was full before it was read.

enum LostEvents {
  /// How many events a line says to be lost, by the kernel (`CPU:1 [LOST 123 EVENTS]`) or trace-cmd
  /// (`CPU:1 [123 EVENTS DROPPED]`); 0 if it does not say how many, nil if it is no such line.
  static func count(in line: Span<UInt8>) -> Int? {
    guard line.has("CPU:", at: 0), let bracket = line.firstIndex(of: Byte.openBracket, from: 0),
      line.firstIndex(of: "EVENTS", from: bracket) != nil
    else { return nil }
    return number(in: line, from: bracket) ?? 0
  }

  /// How many were overwritten, by the head of a `trace` file:
  /// `# entries-in-buffer/entries-written: 140080/250280   #P:4`.
  static func overwritten(in comment: Span<UInt8>) -> Int? {
    let title: StaticString = "# entries-in-buffer/entries-written: "
    guard comment.has(title, at: 0) else { return nil }
    var offset = title.utf8CodeUnitCount
    guard let kept = comment.decimal(at: &offset), comment.has(UInt8(ascii: "/"), at: offset) else {
      return nil
    }
    offset += 1
    guard let written = comment.decimal(at: &offset), written > kept else { return nil }
    return Int(clamping: written - kept)
  }

  /// How many an event of perf's says: `PERF_RECORD_LOST lost 123`, `… lost samples 123`.
  static func perfCount(in line: Span<UInt8>, head: EventHead) -> Int? {
    guard head.style == .perf, line.has("PERF_RECORD_LOST", at: head.event.lowerBound) else {
      return nil
    }
    return number(in: line, from: head.event.upperBound) ?? 0
  }

  private static func number(in line: Span<UInt8>, from start: Int) -> Int? {
    var offset = start
    while offset < line.count {
      if Byte.isDigit(line[offset]) { return line.decimal(at: &offset).map(Int.init(clamping:)) }
      offset += 1
    }
    return nil
  }
}
