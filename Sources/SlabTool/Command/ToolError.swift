// SPDX-License-Identifier: Apache-2.0
// Everything that can end a run, with the words for it. The command prints them behind `slab: `
// and exits with 1.

import Glibc
import Slab

enum ToolError: Error, Equatable {
  case cannotOpen(path: String, errno: CInt)
  case isDirectory(path: String)
  case cannotRead(name: String, errno: CInt)
  case readOnlyOnce(name: String)
  case packagedRecordingMissing(path: String)
  case decompressorMissing(tool: String, name: String)
  case decompressorRefused(tool: String, name: String, errno: CInt)
  case decompressorFailed(tool: String, name: String, ending: String)
  case notARecording(name: String, first: NotUnderstood)
  case binaryRecording(name: String, BinaryRecording)
  case mixedFormats(name: String, line: Int, format: RecordingFormat, before: RecordingFormat)
  case noEvents(name: String)
  case nothingLived(name: String, reason: String, first: NotUnderstood?)
  case mostlyNotUnderstood(name: String, count: Int, lines: Int, first: NotUnderstood)
  case cannotKeep(name: String, errno: CInt)
  case allocator(action: String, reason: String)
  case cannotServe(reason: String)
  case overwritten(cache: String, place: Int, copy: Int)
  case sumCheck(failures: [String])
  case cannotWrite(errno: CInt)
  case cannotWriteFile(path: String, errno: CInt)
  case outputIsNoFile(path: String)

  /// What the allocator refused while `action` was tried.
  static func allocator(_ action: String, _ error: SlabError) -> Self {
    .allocator(action: action, reason: error.description)
  }
}

extension ToolError: CustomStringConvertible {
  var description: String {
    switch self {
    case .cannotOpen(let path, let errno):
      "cannot open \(path): \(Self.text(of: errno))"
    case .isDirectory(let path):
      "cannot read \(path): it is a directory"
    case .cannotRead(let name, let errno):
      "cannot read \(name): \(Self.text(of: errno))"
    case .readOnlyOnce(let name):
      "\(name) is not a file: it can be read only once, and --design both reads it twice"
    case .packagedRecordingMissing(let path):
      "the recording that comes with slab is missing (\(path)): give another one"
    case .decompressorMissing(let tool, let name):
      "cannot decompress \(name): \(tool) is not installed"
    case .decompressorRefused(let tool, let name, let errno):
      "cannot decompress \(name): the system cannot start \(tool): \(Self.text(of: errno)); see ulimit -u and the cgroup's pids limit"
    case .decompressorFailed(let tool, let name, let ending):
      "cannot decompress \(name): \(tool) \(ending)"
    case .notARecording(let name, let first):
      "\(name):\(first.line): not an event of tracefs, trace-cmd or perf script: "
        + "\"\(first.excerpt)\""
    case .binaryRecording(let name, let kind):
      "\(name) is \(kind.advice(name: name))"
    case .mixedFormats(let name, let line, let format, let before):
      "\(name):\(line): a line of \(format.title) after lines of \(before.title): "
        + "replay one recording at a time"
    case .noEvents(let name):
      "\(name): the recording contains no events"
    case .nothingLived(let name, let reason, let first):
      "\(name): there is nothing to replay: \(reason)"
        + (first.map { "; line \($0.line) was not understood: \"\($0.excerpt)\"" } ?? "")
    case .mostlyNotUnderstood(let name, let count, let lines, let first):
      "\(name): \(count) of \(lines) allocations were not understood, first line "
        + "\(first.line): \"\(first.excerpt)\""
    case .cannotKeep(let name, let errno):
      "cannot copy \(name) to a temporary file for the second reading: \(Self.text(of: errno))"
    case .allocator(let action, let reason):
      "cannot \(action): \(reason)"
    case .cannotServe(let reason):
      reason
    case .overwritten(let cache, let place, let copy):
      "an object of cache \(cache) was overwritten (place \(place), copy \(copy))"
    case .sumCheck(let failures):
      "the sums do not add up: " + failures.joined(separator: "; ")
    case .cannotWrite(let errno):
      "cannot write the report: \(Self.text(of: errno))"
    case .cannotWriteFile(let path, let errno):
      "cannot write \(path): \(Self.text(of: errno))"
    case .outputIsNoFile(let path):
      "cannot write \(path): it exists and is not a file"
    }
  }

  private static func text(of errno: CInt) -> String {
    // SAFETY: strerror returns a NUL-terminated string for every number; it is copied at once.
    unsafe String(cString: strerror(errno))
  }
}
