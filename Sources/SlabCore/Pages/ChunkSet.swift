// SPDX-License-Identifier: Apache-2.0
// Which chunks of the heap, of 4 MiB each, are free as a whole. Blocks that are larger than one take chunks in
// a row: a bit for each finds them without a look at the page map, where their words are 32 KiB apart.

struct ChunkSet {
  /// A bit for each chunk of the largest heap.
  private var words = InlineArray<512, UInt64>(repeating: 0)

  static var most: Int { 512 * 64 }

  subscript(chunk: Int) -> Bool {
    get { words[chunk >> 6] & 1 << UInt64(chunk & 63) != 0 }
    set {
      let bit: UInt64 = 1 << UInt64(chunk & 63)
      if newValue { words[chunk >> 6] |= bit } else { words[chunk >> 6] &= ~bit }
    }
  }

  /// The first chunk from one on, below a limit, that is in the set or is not; the limit if there is none.
  func first(from start: Int, below limit: Int, isMember: Bool) -> Int {
    var chunk = start
    while chunk < limit {
      let word = isMember ? words[chunk >> 6] : ~words[chunk >> 6]
      let rest = word >> UInt64(chunk & 63)
      if rest != 0 { return min(limit, chunk + rest.trailingZeroBitCount) }
      chunk = (chunk | 63) + 1
    }
    return limit
  }

  /// The first of the members in a row that end below a limit; the limit if there is none.
  func startOfRow(before limit: Int) -> Int {
    var chunk = limit
    while chunk > 0, self[chunk - 1] { chunk -= 1 }
    return chunk
  }

  /// How many there are; for checks.
  var count: Int {
    var count = 0
    for index in 0..<512 { count += words[index].nonzeroBitCount }
    return count
  }
}
