// SPDX-License-Identifier: Apache-2.0
// How the interpreter tells lines apart: events, what the tools print beside them, and what is
// neither; and when a recording is none.

extension RecordingInterpreter {
  /// Lives one whole line.
  mutating func interpret(_ line: Span<UInt8>) throws(ToolError) {
    counts.lines += 1
    guard !line.isEmpty else { return }
    guard line[0] != Byte.hash else { return try interpretComment(line) }
    guard let head = EventHead(line, isPerfLikely: counts.format == .perf) else {
      return try interpretHeadless(line)
    }
    let event = RecordedEvent(line, head: head)
    if case .unknown = event { return try interpretUnknown(line, head: head) }
    if let format = RecordingFormat(head.style) { try note(format) }
    switch event {
    case .malformed:
      notUnderstood(line, .malformedLines)
    case .malformedAllocation:
      counts.allocationLines += 1
      counts.malformedAllocations += 1
      notUnderstood(line, .malformedLines)
    default:
      counts.events += 1
      if case .allocation = event { counts.allocationLines += 1 }
      try live(event, of: head.pid, in: line)
    }
  }

  /// Ends the recording with what stands behind its last newline. There is no telling whether that
  /// is a whole line (an address cut off is another address), so it is not lived.
  mutating func finish(unfinishedLine line: Span<UInt8>) throws(ToolError) {
    if !line.isEmpty {
      counts.lines += 1
      if isAtBeginning, EventHead(line) == nil { throw notARecording(line) }
      add(.truncatedLines)
    }
    guard counts.events > 0 || firstNotUnderstood != nil else { throw .noEvents(name: name) }
  }

  /// Throws if what was lived is not the recording: nothing, or less than half of its allocations.
  func checkWasLived() throws(ToolError) {
    if 2 * counts.malformedAllocations > counts.allocationLines, let firstNotUnderstood {
      throw .mostlyNotUnderstood(
        name: name, count: counts.malformedAllocations, lines: counts.allocationLines,
        first: firstNotUnderstood)
    }
    guard counts.allocations == 0 else { return }
    throw .nothingLived(name: name, reason: whyNothingLived, first: firstNotUnderstood)
  }

  private var whyNothingLived: String {
    if counts.allocationLines > 0 { return "none of its allocations allocates an object" }
    let others = counts.unreadAllocations.events.map(\.name)
    let hint = "the events kmem_cache_alloc and kmalloc were disabled"
    return others.isEmpty ? "it contains no allocations: \(hint)" : "\(hint); there is \(others[0])"
  }

  /// A whole line is no whole event.
  mutating func notUnderstood(_ line: Span<UInt8>) {
    counts.malformedAllocations += 1
    notUnderstood(line, .malformedLines)
  }

  private mutating func notUnderstood(_ line: Span<UInt8>, _ irregularity: Irregularity) {
    if firstNotUnderstood == nil {
      firstNotUnderstood = NotUnderstood(line, line: counts.lines)
    }
    add(irregularity)
  }

  mutating func add(_ irregularity: Irregularity) {
    counts.irregularities.add(irregularity, line: counts.lines)
  }

  // MARK: Formats

  /// The line can be of one format only.
  private mutating func note(_ format: RecordingFormat) throws(ToolError) {
    guard let known = counts.format else {
      counts.format = format
      return
    }
    guard known == format else {
      throw .mixedFormats(name: name, line: counts.lines, format: format, before: known)
    }
  }

  private mutating func interpretComment(_ line: Span<UInt8>) throws(ToolError) {
    if line.has("# tracer:", at: 0) { try note(.tracefs) }
    if let lost = LostEvents.overwritten(in: line) { addLost(lost) }
  }

  private mutating func addLost(_ events: Int) {
    counts.lostEvents += events
    add(.lostEventLines)
  }

  private mutating func interpretUnknown(
    _ line: Span<UInt8>, head: EventHead
  ) throws(ToolError) {
    if head.style == .perf { try note(.perf) }
    counts.events += 1
    if let lost = LostEvents.perfCount(in: line, head: head) { return addLost(lost) }
    let event = line.extracting(head.event)
    if event.firstIndex(of: "alloc", from: 0) != nil { counts.unreadAllocations.add(event) }
    add(.unknownEvents)
  }

  // MARK: Lines that are no event

  private var isAtBeginning: Bool {
    counts.events == 0 && counts.irregularities == IrregularityCounts()
  }

  private mutating func interpretHeadless(_ line: Span<UInt8>) throws(ToolError) {
    if let lost = LostEvents.count(in: line) { return addLost(lost) }
    if line.has("cpus=", at: 0) || line.has("version = ", at: 0) { return try note(.traceCmd) }
    if line.has("CPU ", at: 0), line.firstIndex(of: " is empty", from: 4) != nil {
      return try note(.traceCmd)
    }
    if isOfStackTrace(line) { return }
    if isAtBeginning { throw notARecording(line) }
    notUnderstood(line, .malformedLines)
  }

  /// Whether the line belongs to a stack that was recorded with an event: `<user stack trace>`, ` => getname_flags`,
  /// `ffffffff8128d1a4 getname_flags+0x24 ([kernel.kallsyms])`.
  private func isOfStackTrace(_ line: Span<UInt8>) -> Bool {
    if line.has(" => ", at: 0) || line.firstIndex(of: "stack trace>", from: 0) != nil {
      return true
    }
    guard counts.format == .perf else { return false }
    let start = line.skippingBlanks(from: line.has(UInt8(ascii: "\t"), at: 0) ? 1 : 0)
    var end = start
    guard start > 0, line.hexadecimal(at: &end) != nil else { return start == line.count }
    return line.has(Byte.blank, at: end) && line.has(Byte.closeParenthesis, at: line.count - 1)
  }

  private func notARecording(_ line: Span<UInt8>) -> ToolError {
    if let binary = BinaryRecording(line) { return .binaryRecording(name: name, binary) }
    return .notARecording(name: name, first: NotUnderstood(line, line: counts.lines))
  }
}
