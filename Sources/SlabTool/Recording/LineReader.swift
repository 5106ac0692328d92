// SPDX-License-Identifier: Apache-2.0
// Cuts a recording's bytes into lines, over one buffer that is filled again and again.
//
// Invariants: bytes[start..<end] are read and not yet handed out; a line is handed out once,
// whole, without its newline, nor the carriage return ahead of it that a file has from Windows.
// Memory is the buffer alone, however long the recording is.

/// Lines out of a ``RecordingSource``.
struct LineReader: ~Copyable {
  /// Small enough to stay in a core's own cache while its lines are looked at. The kernel cuts
  /// a line of a trace at 8 KiB; a "line" that fills the whole buffer is no line of a recording,
  /// and only its beginning is handed out.
  static let bufferBytes = 256 << 10

  private(set) var source: RecordingSource
  private var bytes = [UInt8](repeating: 0, count: bufferBytes)
  private var start = 0
  private var end = 0
  /// Whether everything has been read.
  private(set) var isAtEnd = false
  /// Whether what comes is the rest of a line whose beginning has been handed out.
  private var isInsideLongLine = false

  init(_ source: consuming RecordingSource) {
    self.source = source
  }

  /// Reads on; false at the end of the recording, which is then known to be whole.
  mutating func fill() throws(ToolError) -> Bool {
    guard !isAtEnd else { return false }
    moveToFront()
    let count = try source.read(into: &bytes, from: end)
    end += count
    if count == 0 {
      isAtEnd = true
      try source.finish()
    }
    return count > 0
  }

  /// Looks at the lines at the beginning of the recording, until `body` has a result, and as far as
  /// one buffer reaches. They are handed out all the same.
  mutating func peek<Result>(
    _ body: (Span<UInt8>) -> Result?
  ) throws(ToolError) -> Result? {
    var next = start
    while true {
      while let newline = bytes.span.extracting(0..<end).firstIndex(of: Byte.newline, from: next) {
        let end = Self.endOfLine(next, newline: newline, in: bytes.span)
        if let result = body(bytes.span.extracting(next..<end)) { return result }
        next = newline + 1
      }
      guard end < Self.bufferBytes, try fill() else { return nil }
    }
  }

  /// Begins again. What can be read only once is first read to its end, into a temporary file.
  mutating func makeReadableAgain() throws(ToolError) {
    guard source.fileBytes == nil else { return }
    let spool = try SpoolFile(name: source.name)
    repeat {
      try spool.write(bytes.span.extracting(start..<end))
      start = end
    } while try fill()
    try source.replaceFile(with: spool.finish())
    try rewind()
  }

  /// Begins again; for what is a file.
  mutating func rewind() throws(ToolError) {
    try source.rewind()
    start = 0
    end = 0
    isAtEnd = false
    isInsideLongLine = false
  }

  /// Hands out every line that is whole by now. A buffer full of bytes without a newline is
  /// handed out as one line, whose rest is passed over, so that the reading goes on and lines are
  /// counted in the usual way.
  mutating func forEachLine(
    _ body: (Span<UInt8>) throws(ToolError) -> Void
  ) throws(ToolError) {
    guard passLongLine() else { return }
    start += try Self.forEachLine(in: bytes.span.extracting(start..<end), body)
    if start == 0, end == Self.bufferBytes {
      try body(bytes.span)
      start = end
      isInsideLongLine = true
    }
  }

  /// Passes over the rest of a line that was too long; false while its end has not been read.
  private mutating func passLongLine() -> Bool {
    guard isInsideLongLine else { return true }
    let newline = bytes.span.extracting(0..<end).firstIndex(of: Byte.newline, from: start)
    isInsideLongLine = newline == nil
    start = newline.map { $0 + 1 } ?? end
    return !isInsideLongLine
  }

  /// Hands out the lines of `bytes` that end in it; how many bytes they are.
  private static func forEachLine(
    in bytes: Span<UInt8>, _ body: (Span<UInt8>) throws(ToolError) -> Void
  ) throws(ToolError) -> Int {
    var start = 0
    while let newline = bytes.firstIndex(of: Byte.newline, from: start) {
      try body(bytes.extracting(start..<endOfLine(start, newline: newline, in: bytes)))
      start = newline + 1
    }
    return start
  }

  /// Where the text ends of the line that begins at `start`.
  private static func endOfLine(_ start: Int, newline: Int, in bytes: Span<UInt8>) -> Int {
    newline > start && bytes[newline - 1] == Byte.carriageReturn ? newline - 1 : newline
  }

  /// What stands behind the last newline, when the recording is at its end.
  func withUnfinishedLine<Result>(
    _ body: (Span<UInt8>) throws(ToolError) -> Result
  ) throws(ToolError) -> Result {
    try body(bytes.span.extracting(start..<end))
  }

  private mutating func moveToFront() {
    guard start > 0 else { return }
    let rest = start..<end
    // SAFETY: both ranges lie in the buffer; the move allows that they overlap.
    unsafe bytes.withUnsafeMutableBytes { buffer in
      let front = buffer.baseAddress!
      unsafe front.copyMemory(from: front + rest.lowerBound, byteCount: rest.count)
    }
    end -= start
    start = 0
  }
}
