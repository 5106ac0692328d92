// SPDX-License-Identifier: Apache-2.0
// What a recording has become.

struct RecordSummary {
  private(set) var bytes = 0
  private(set) var lines = 0
  var lostEvents = 0
  var seconds = 0.0

  mutating func add(_ text: ArraySlice<UInt8>) {
    bytes += text.count
    for byte in text where byte == UInt8(ascii: "\n") { lines += 1 }
  }

  var line: String { "\(lines.grouped) events, \(Quantity.bytes(bytes)) of text" }
}
