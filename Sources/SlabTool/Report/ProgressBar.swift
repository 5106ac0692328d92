// How far a recording has been read, or a run has come, on standard error when that is a terminal; otherwise
// nothing at all. The bar is removed when its owner ends.

import Glibc

struct ProgressBar: ~Copyable {
  private static let width = 40
  private static let nanosecondsBetweenDrawings = 100_000_000

  private let totalBytes: Int?
  private let isVisible = isatty(STDERR_FILENO) == 1
  private var lastDrawing = 0

  /// Begins; without a total, only the bytes are shown.
  init(totalBytes: Int? = nil) {
    self.totalBytes = totalBytes
  }

  deinit {
    if lastDrawing > 0 { StandardStream.writeMessage("\r\u{1B}[K") }
  }

  /// Shows that `bytes` have been read, at most ten times a second.
  mutating func show(bytes: Int) {
    show { [totalBytes] in Self.drawing(bytes: bytes, of: totalBytes) }
  }

  /// Shows a line, at most ten times a second.
  mutating func show(_ line: () -> String) {
    guard isVisible else { return }
    let now = MonotonicTime.nanoseconds()
    guard now - lastDrawing >= Self.nanosecondsBetweenDrawings else { return }
    lastDrawing = now
    StandardStream.writeMessage("\r\u{1B}[K\(line())")
  }

  static func drawing(bytes: Int, of totalBytes: Int?) -> String {
    let mebibytes = bytes >> 20
    guard let totalBytes, totalBytes > 0 else { return "\(mebibytes) MiB read" }
    let share = Double(min(bytes, totalBytes)) / Double(totalBytes)
    let full = Int(share * Double(width))
    let bar = String(repeating: "#", count: full) + String(repeating: ".", count: width - full)
    return "[\(bar)] \(Int(share * 100)) % of \(totalBytes >> 20) MiB"
  }
}
