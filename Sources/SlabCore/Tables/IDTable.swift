// SPDX-License-Identifier: Apache-2.0
// Dense ids, of groups and of roots.

internal import SlabPlatform

/// Dense ids that are used again: of groups, as soon as one is offline (kmemcg_id), and of roots, when one is
/// released.
///
/// A word per id in a reservation of its own: the address of what has the id, if that was set, or, with
/// the lowest bit set, the next free id. Guarded by the registry lock.
struct IDTable: ~Copyable {
  private let words: Words
  let limit: Int
  /// The lowest id that was never used.
  private(set) var end = 0
  private var committed = 0
  private var firstFree = 0
  private var inUse = 0

  private static var step: Int { 4096 / 8 }
  static var fewest: Int { 1 << 16 }
  static var fewestBytes: Int { fewest * 8 }

  /// The most groups that can be online, where addresses are not short, and the most roots. A root has a
  /// block of counters on each CPU as well, for which the CPU layer has room for twice as many.
  static var mostGroups: Int { 1 << 24 }
  static var mostRoots: Int { 1 << 16 }

  /// Reserves room for so many ids, or for fewer where addresses are short, but for 65,536.
  init(most: Int) throws(Errno) {
    var ids = most
    while true {
      do throws(Errno) {
        words = Words(at: try SystemCall.reserve(bytes: ids * 8))
        limit = ids
        return
      } catch {
        guard ids > Self.fewest else { throw error }
        ids /= 4
      }
    }
  }

  func unmap() { try? SystemCall.unmap(at: words.address, bytes: limit * 8) }

  /// The lowest id that was never used, or the one that was freed last; `nil` if all are in use (`isFull`),
  /// or if there is no memory for more.
  mutating func take() -> Int? {
    guard let id = takeFree() else { return nil }
    inUse += 1
    return id
  }

  /// Whether all ids are in use.
  var isFull: Bool { firstFree == 0 && end == limit }

  private mutating func takeFree() -> Int? {
    if firstFree != 0 {
      let id = firstFree
      firstFree = Int(words[id] >> 1)
      return id
    }
    if end == committed {
      guard end + Self.step <= limit,
        (try? SystemCall.protectReadWrite(
          at: words.address + UInt(end) * 8, bytes: Self.step * 8)) != nil
      else { return nil }
      committed += Self.step
    }
    defer { end += 1 }
    return end
  }

  mutating func set(_ id: Int, to address: UInt) { words[id] = UInt64(address) }

  /// Ids above 0 only: 0 is for ever the root group's, and that of the first cache of the core.
  mutating func free(_ id: Int) {
    words[id] = UInt64(firstFree) << 1 | 1
    firstFree = id
    inUse -= 1
  }

  /// What has an id, if that has been set; 0 for nothing.
  func address(of id: Int) -> UInt {
    id < end && words[id] & 1 == 0 ? UInt(words[id]) : 0
  }

  /// Gives the memory of the ids back if the first is the only one in use.
  mutating func trim() {
    guard inUse == 1, end > Self.step else { return }
    // Where the kernel refuses, the words are written again before they are read.
    try? SystemCall.giveBack(
      at: words.address + UInt(Self.step) * 8, bytes: (committed - Self.step) * 8)
    end = 1
    firstFree = 0
  }

  /// Bytes that have been touched, in pages.
  var usedBytes: Int { (end * 8 + 4095) & ~4095 }
}
