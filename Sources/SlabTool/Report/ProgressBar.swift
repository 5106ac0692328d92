// SPDX-License-Identifier: Apache-2.0
// How far a recording has been read, or a run has come, on standard error when that is a terminal; otherwise
// nothing at all. The bar is removed when its owner ends.
//
// The terminal is asked for its width at each drawing, and a line is shorter than that: one that wraps could not be
// removed.

import Glibc

struct ProgressBar: ~Copyable {
  private static let mostWidth = 40
  private static let leastWidth = 4
  private static let usualColumns = 80

  private let totalBytes: Int?
  private let descriptor: CInt
  private let isVisible: Bool
  private let nanosecondsBetweenDrawings: Int
  private var lastDrawing = 0

  /// Begins; without a total, only the bytes are shown.
  init(
    totalBytes: Int? = nil, on descriptor: CInt = STDERR_FILENO,
    nanosecondsBetweenDrawings: Int = 100_000_000
  ) {
    self.totalBytes = totalBytes
    self.descriptor = descriptor
    self.nanosecondsBetweenDrawings = nanosecondsBetweenDrawings
    isVisible = isatty(descriptor) == 1
  }

  deinit {
    remove()
  }

  /// Makes room for a message.
  mutating func clear() {
    remove()
    lastDrawing = 0
  }

  private borrowing func remove() {
    if lastDrawing > 0 { _ = StandardStream.write("\r\u{1B}[K", to: descriptor) }
  }

  /// Shows that `bytes` have been read, at most ten times a second.
  mutating func show(bytes: Int) {
    draw { [totalBytes] columns in Self.drawing(bytes: bytes, of: totalBytes, columns: columns) }
  }

  /// Shows a line, at most ten times a second.
  mutating func show(_ line: () -> String) {
    draw { _ in line() }
  }

  private mutating func draw(_ line: (_ columns: Int) -> String) {
    guard isVisible else { return }
    let now = MonotonicTime.nanoseconds()
    guard now - lastDrawing >= nanosecondsBetweenDrawings else { return }
    lastDrawing = now
    // The last column stays empty: some terminals wrap as soon as it is written.
    let columns = max(columns() - 1, 0)
    let text = line(columns).prefix(columns)
    _ = StandardStream.write("\r\u{1B}[K\(text)", to: descriptor)
  }

  /// The terminal's width now.
  private func columns() -> Int {
    var size = winsize()
    // SAFETY: the request fills the structure that it is given.
    let result = unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size)
    return result == 0 && size.ws_col > 0 ? Int(size.ws_col) : Self.usualColumns
  }

  /// In at most `columns`, but for the numbers, which the caller cuts.
  static func drawing(bytes: Int, of totalBytes: Int?, columns: Int = usualColumns) -> String {
    guard let totalBytes, totalBytes > 0 else { return "\(bytes >> 20) MiB read" }
    let share = Double(min(bytes, totalBytes)) / Double(totalBytes)
    let numbers = "\(Int(share * 100)) % of \(totalBytes >> 20) MiB"
    let width = min(mostWidth, columns - numbers.count - 3)
    guard width >= leastWidth else { return numbers }
    let full = Int(share * Double(width))
    let bar = String(repeating: "#", count: full) + String(repeating: ".", count: width - full)
    return "[\(bar)] \(numbers)"
  }
}
