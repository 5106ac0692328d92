// SPDX-License-Identifier: Apache-2.0
// Settings of a folder of tracefs that were changed, and what they were before.

struct TraceSettings {
  let folder: TraceFolder
  private var before: [(file: String, value: String)] = []

  init(of folder: TraceFolder) {
    self.folder = folder
  }

  mutating func set(_ file: String, to value: String) throws(RecordError) {
    // Noted ahead of the write: what failed half-way is put back as well.
    before.append((file, try folder.value(of: file)))
    try folder.set(file, to: value)
  }

  /// Puts everything back, the last change first, and goes on behind a failure. Returns the failures.
  mutating func restore() -> [RecordError] {
    var failures: [RecordError] = []
    while let (file, value) = before.popLast() {
      do throws(RecordError) {
        try folder.set(file, to: value)
      } catch {
        failures.append(error)
      }
    }
    return failures
  }
}
