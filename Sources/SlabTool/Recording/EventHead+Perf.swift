// SPDX-License-Identifier: Apache-2.0
// The head of a line of `perf script`:
//
//     |            bash 10341 [000]  2615.224560:                kmem:kfree: call_site=… ptr=0x…
//      comm, 16 wide  tid [CPU]     seconds:           system:event: fields
//
// The thread may stand as `pid/tid`; the CPU, the time and the event's period come and go with
// `-F`. The comm is what precedes the last number within its reach behind which a whole head
// stands, as for the kernel's own heads.

extension EventHead {
  /// A number is padded to seven characters and may be `pid/tid`: so far behind the comm it begins.
  private static let greatestPadding = 8

  init?(perf line: Span<UInt8>, from first: Int) {
    var start = min(first + Self.greatestCommLength + Self.greatestPadding, line.count - 1)
    while start >= first {
      if start == first || line[start - 1] == Byte.blank,
        Byte.isDigit(line[start]) || line[start] == Byte.dash,
        Self.isComm(first, start, in: line), let head = Self(line, perfThread: start)
      {
        self = head
        return
      }
      start -= 1
    }
    return nil
  }

  /// Whether what stands ahead of `start` is as long as a comm can be.
  private static func isComm(_ first: Int, _ start: Int, in line: Span<UInt8>) -> Bool {
    var end = start
    while end > first, line[end - 1] == Byte.blank { end -= 1 }
    return end - first <= greatestCommLength
  }

  /// Reads what stands behind the comm.
  private init?(_ line: Span<UInt8>, perfThread start: Int) {
    var offset = start
    guard let pid = Self.perfThread(in: line, &offset), Self.skipBlanks(in: line, &offset) else {
      return nil
    }
    if line.has(Byte.openBracket, at: offset) {
      guard Self.skipCPU(in: line, &offset) else { return nil }
    }
    _ = Self.skipTime(in: line, &offset)
    Self.skipPeriod(in: line, &offset)
    guard let event = Self.perfEvent(in: line, &offset) else { return nil }
    self.init(
      pid: pid, event: event, fields: line.skippingBlanks(from: offset), style: .perf)
  }

  /// `10341`, `10340/10341`, or `-1` for a task that perf does not know, which is in no group.
  private static func perfThread(in line: Span<UInt8>, _ offset: inout Int) -> Int? {
    if line.has("-1", at: offset) {
      offset += 2
      if line.has("/-1", at: offset) { offset += 3 }
      return 0
    }
    guard let pid = pid(in: line, at: &offset) else { return nil }
    guard line.has(UInt8(ascii: "/"), at: offset) else { return pid }
    offset += 1
    return self.pid(in: line, at: &offset)
  }

  /// Skips the number of times that an event stands for, if it is there.
  private static func skipPeriod(in line: Span<UInt8>, _ offset: inout Int) {
    var end = offset
    if line.decimal(at: &end) != nil, skipBlanks(in: line, &end) { offset = end }
  }

  /// The name in `kmem:kfree: `, and `PERF_RECORD_LOST` and its like, which are of no system.
  private static func perfEvent(in line: Span<UInt8>, _ offset: inout Int) -> Range<Int>? {
    guard let system = word(in: line, &offset) else { return nil }
    if line.has("PERF_RECORD_", at: system.lowerBound) { return system }
    guard line.has(Byte.colon, at: offset) else { return nil }
    offset += 1
    guard let event = word(in: line, &offset), line.has(Byte.colon, at: offset) else { return nil }
    offset += 1
    return event
  }

  private static func word(in line: Span<UInt8>, _ offset: inout Int) -> Range<Int>? {
    let start = offset
    while offset < line.count, Byte.isWordCharacter(line[offset]) { offset += 1 }
    return offset > start ? start..<offset : nil
  }
}
