// Cuts a recording's bytes into lines, over one buffer that is filled again and again.
//
// Invariants: bytes[start..<end] are read and not yet handed out; a line is handed out once,
// whole, without its newline. Memory is the buffer alone, however long the recording is.

/// Lines out of a ``RecordingSource``.
struct LineReader: ~Copyable {
  /// Small enough to stay in a core's own cache while its lines are looked at. The kernel cuts
  /// a line of a trace at 8 KiB; a "line" that fills the whole buffer is no line of a recording.
  static let bufferBytes = 256 << 10

  private(set) var source: RecordingSource
  private var bytes = [UInt8](repeating: 0, count: bufferBytes)
  private var start = 0
  private var end = 0

  init(_ source: consuming RecordingSource) {
    self.source = source
  }

  /// Reads on; false at the end of the recording, which is then known to be whole.
  mutating func fill() throws(ToolError) -> Bool {
    moveToFront()
    let count = try source.read(into: &bytes, from: end)
    end += count
    if count == 0 { try source.finish() }
    return count > 0
  }

  /// Hands out every line that is whole by now. A buffer full of bytes without a newline is
  /// handed out as one line, so that the reading goes on.
  mutating func forEachLine(
    _ body: (Span<UInt8>) throws(ToolError) -> Void
  ) throws(ToolError) {
    start += try Self.forEachLine(in: bytes.span.extracting(start..<end), body)
    if start == 0, end == Self.bufferBytes {
      try body(bytes.span)
      start = end
    }
  }

  /// Hands out the lines of `bytes` that end in it; how many bytes they are.
  private static func forEachLine(
    in bytes: Span<UInt8>, _ body: (Span<UInt8>) throws(ToolError) -> Void
  ) throws(ToolError) -> Int {
    var start = 0
    while let newline = bytes.firstIndex(of: Byte.newline, from: start) {
      try body(bytes.extracting(start..<newline))
      start = newline + 1
    }
    return start
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
