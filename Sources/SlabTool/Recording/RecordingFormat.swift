// SPDX-License-Identifier: Apache-2.0
// What has printed a recording. Events are read in the same way from each of them; the format is
// found out to refuse a file that was put together from several, whose times and pids are not of
// one machine.

enum RecordingFormat: String, Encodable {
  /// `/sys/kernel/tracing/trace` and `trace_pipe`.
  case tracefs
  case traceCmd = "trace-cmd"
  case perf = "perf script"

  /// The one that prints heads like this; nil if several do.
  init?(_ style: EventHead.Style) {
    switch style {
    case .dash: return nil
    case .paddedDash: self = .traceCmd
    case .perf: self = .perf
    }
  }

  /// What texts call it.
  var title: String { self == .tracefs ? "the kernel (tracefs)" : rawValue }
}

/// What people take for a recording and is none yet, known by its first bytes.
enum BinaryRecording: CaseIterable {
  case traceData
  case perfData
  case gzip
  case zstd
  case xz

  init?(_ line: Span<UInt8>) {
    guard let found = Self.allCases.first(where: { $0.begins(line) }) else { return nil }
    self = found
  }

  private func begins(_ line: Span<UInt8>) -> Bool {
    switch self {
    case .traceData: Self.begins(line, [0x17, 0x08, 0x44]) && line.has("tracing", at: 3)
    case .perfData: line.has("PERFILE2", at: 0) || line.has("PERFFILE", at: 0)
    case .gzip: Self.begins(line, [0x1f, 0x8b])
    case .zstd: Self.begins(line, [0x28, 0xb5, 0x2f, 0xfd])
    case .xz: Self.begins(line, [0xfd, 0x37, 0x7a, 0x58, 0x5a])
    }
  }

  private static func begins(_ line: Span<UInt8>, _ magic: [UInt8]) -> Bool {
    magic.indices.allSatisfy { line.has(magic[$0], at: $0) }
  }

  /// What it is, and the command that makes text of the file `name`.
  func advice(name: String) -> String {
    let file = name.contains("/") || name.contains(".") ? name : "FILE"
    return switch self {
    case .traceData:
      "a binary recording of trace-cmd; try: trace-cmd report \(file) | slab replay -"
    case .perfData:
      "a binary recording of perf; try: perf script -i \(file) | slab replay -"
    case .gzip: "compressed by gzip; name the file .gz, or try: gzip -dc \(file) | slab replay -"
    case .zstd: "compressed by zstd; name the file .zst, or try: zstd -dc \(file) | slab replay -"
    case .xz: "compressed by xz; name the file .xz, or try: xz -dc \(file) | slab replay -"
    }
  }
}
