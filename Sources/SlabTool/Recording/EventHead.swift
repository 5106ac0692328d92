// The head of an ftrace line, as the kernel prints it (kernel/trace/trace_output.c):
//
//     |            stat-3383    [000] d..1.  1382.762022: cgroup_attach_task: dst_root=4 …
//      comm, 16 wide  -pid     [CPU] flags    seconds      event               fields
//
// The comm may hold blanks, dashes, brackets and colons, whatever its process chose, so it
// cannot be read from the left. But it has at most 15 bytes: the dash in front of the pid is
// the last one within the comm's reach behind which a whole head stands, whatever the fields
// further on imitate, and also where a tool took the padding away. The flags have four
// characters, five in newer kernels, and are missing with `irq-info` off; a `(tgid)` comes with
// `record-tgid`; clocks other than the usual ones print a bare number.

/// What the head of a line says, and where the rest of it stands.
struct FtraceLine: Equatable {
  /// The task that the event belongs to.
  var pid: Int
  /// The event's name.
  var event: Range<Int>
  /// Where the event's fields begin.
  var fields: Int

  /// The greatest pid that Linux gives out (`PID_MAX_LIMIT`).
  static let greatestPid = 1 << 22
  /// A task's name without its NUL (`TASK_COMM_LEN`).
  static let greatestCommLength = 15

  /// Reads the head of `line`; nil when it has none.
  init?(_ line: Span<UInt8>) {
    let first = line.skippingBlanks(from: 0)
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
    fields = line.has(Byte.colon, at: offset) ? line.skippingBlanks(from: offset + 1) : offset
  }

  static func pid(in line: Span<UInt8>, at offset: inout Int) -> Int? {
    guard let pid = line.decimal(at: &offset), pid <= greatestPid else { return nil }
    return Int(pid)
  }

  /// Skips blanks, of which there must be one.
  private static func skipBlanks(in line: Span<UInt8>, _ offset: inout Int) -> Bool {
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
  private static func skipCPU(in line: Span<UInt8>, _ offset: inout Int) -> Bool {
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
    guard 4...5 ~= offset - flags, skipBlanks(in: line, &offset) else { return false }
    return skipTime(in: line, &offset)
  }

  /// Skips `1382.762022: `; leaves `offset` alone when it is something else.
  private static func skipTime(in line: Span<UInt8>, _ offset: inout Int) -> Bool {
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
