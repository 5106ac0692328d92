// SPDX-License-Identifier: Apache-2.0
// The head of an event's line, as the kernel prints it (kernel/trace/trace_output.c) and trace-cmd
// after it:
//
//     |            stat-3383    [000] d..1.  1382.762022: cgroup_attach_task: dst_root=4 …
//      comm, 16 wide  -pid     [CPU] flags    seconds      event               fields
//
// The comm may hold blanks, dashes, brackets and colons, whatever its process chose, so it
// cannot be read from the left. But it has at most 15 bytes: the dash in front of the pid is
// the last one within the comm's reach behind which a whole head stands, whatever the fields
// further on imitate, and also where a tool took the padding away. The flags have four
// characters, five in newer kernels, up to seven in those for real time, and are missing with
// `irq-info` off; a `(tgid)` comes with `record-tgid`; clocks other than the usual ones print a
// bare number. How perf prints heads is in EventHead+Perf.swift.

/// What the head of a line says, and where the rest of it stands.
struct EventHead: Equatable {
  /// What can have printed a head like this one.
  enum Style {
    /// The kernel or trace-cmd.
    case dash
    /// trace-cmd, which pads the names of events; the kernel never does.
    case paddedDash
    case perf
  }

  /// The task that the event belongs to.
  var pid: Int
  /// The event's name.
  var event: Range<Int>
  /// Where the event's fields begin.
  var fields: Int
  var style = Style.dash

  /// The greatest pid that Linux gives out (`PID_MAX_LIMIT`).
  static let greatestPid = 1 << 22
  /// A task's name without its NUL (`TASK_COMM_LEN`).
  static let greatestCommLength = 15

  /// Reads the head of `line`, of the likelier style first; nil when it has none.
  init?(_ line: Span<UInt8>, isPerfLikely: Bool = false) {
    let first = line.skippingBlanks(from: 0)
    if isPerfLikely {
      guard let head = Self(perf: line, from: first) ?? Self(dash: line, from: first) else {
        return nil
      }
      self = head
    } else {
      guard let head = Self(dash: line, from: first) ?? Self(perf: line, from: first) else {
        return nil
      }
      self = head
    }
  }

  init(pid: Int, event: Range<Int>, fields: Int, style: Style) {
    self.pid = pid
    self.event = event
    self.fields = fields
    self.style = style
  }

  private init?(dash line: Span<UInt8>, from first: Int) {
    var dash = min(first + Self.greatestCommLength, line.count - 1)
    while dash >= first {
      if line[dash] == Byte.dash, let head = Self(line, dash: dash) {
        self = head
        return
      }
      dash -= 1
    }
    return nil
  }

  /// Reads what stands behind the comm, if `dash` is the dash that ends it.
  private init?(_ line: Span<UInt8>, dash: Int) {
    var offset = dash + 1
    guard let pid = Self.pid(in: line, at: &offset),
      Self.skipBlanks(in: line, &offset),
      Self.skipThreadGroup(in: line, &offset),
      Self.skipCPU(in: line, &offset),
      Self.skipFlagsAndTime(in: line, &offset)
    else { return nil }

    let name = offset
    while offset < line.count, Byte.isWordCharacter(line[offset]) { offset += 1 }
    guard offset > name else { return nil }
    self.pid = pid
    event = name..<offset
    // A line of the function tracer has no colon here: its function's name is no known event.
    guard line.has(Byte.colon, at: offset) else {
      fields = offset
      return
    }
    fields = line.skippingBlanks(from: offset + 1)
    // Perf has the event's name here, behind that of its system.
    guard fields > offset + 1 || fields == line.count else { return nil }
    if fields > offset + 2 { style = .paddedDash }
  }

  static func pid(in line: Span<UInt8>, at offset: inout Int) -> Int? {
    guard let pid = line.decimal(at: &offset), pid <= greatestPid else { return nil }
    return Int(pid)
  }

  /// Skips blanks, of which there must be one.
  static func skipBlanks(in line: Span<UInt8>, _ offset: inout Int) -> Bool {
    guard line.has(Byte.blank, at: offset) else { return false }
    offset = line.skippingBlanks(from: offset)
    return true
  }

  /// Skips `(  3383) ` or `(-------) `, if it is there.
  private static func skipThreadGroup(in line: Span<UInt8>, _ offset: inout Int) -> Bool {
    guard line.has(Byte.openParenthesis, at: offset) else { return true }
    guard let end = line.firstIndex(of: Byte.closeParenthesis, from: offset) else {
      return false
    }
    offset = end + 1
    return skipBlanks(in: line, &offset)
  }

  /// Skips `[000] `.
  static func skipCPU(in line: Span<UInt8>, _ offset: inout Int) -> Bool {
    guard line.has(Byte.openBracket, at: offset) else { return false }
    offset += 1
    guard line.decimal(at: &offset) != nil, line.has(Byte.closeBracket, at: offset) else {
      return false
    }
    offset += 1
    return skipBlanks(in: line, &offset)
  }

  /// Skips `d..1.  1382.762022: `, with or without the flags.
  private static func skipFlagsAndTime(in line: Span<UInt8>, _ offset: inout Int) -> Bool {
    if skipTime(in: line, &offset) { return true }
    let flags = offset
    while offset < line.count, line[offset] != Byte.blank { offset += 1 }
    guard 4...7 ~= offset - flags, skipBlanks(in: line, &offset) else { return false }
    return skipTime(in: line, &offset)
  }

  /// Skips `1382.762022: `; leaves `offset` alone when it is something else.
  static func skipTime(in line: Span<UInt8>, _ offset: inout Int) -> Bool {
    var end = offset
    guard line.decimal(at: &end) != nil else { return false }
    if line.has(Byte.dot, at: end) {
      end += 1
      guard line.decimal(at: &end) != nil else { return false }
    }
    guard line.has(Byte.colon, at: end) else { return false }
    end += 1
    guard skipBlanks(in: line, &end) else { return false }
    offset = end
    return true
  }
}
