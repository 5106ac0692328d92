// The registry: which caches and groups exist. One lock, under which the four memberships of a
// cache change together: the list of all caches, the list of roots, the root's children and the
// group's caches (patches 4 to 6 of docs/ten-patches.md).

internal import SlabPlatform

struct Registry: ~Copyable {
  let lock = RegistryLock()

  // All under `lock`.
  /// Every cache, newest first.
  var allCaches = ListNode()
  /// Every root, newest first.
  var roots = ListNode()
  var rootCount = 0
  /// Indices of roots.
  var rootIndices: IDTable
  var groupIDs: IDTable
  var groupNames: GroupNames
  /// Nodes of these lists that were visited by offline, batches, shutdown, creation and slabinfo.
  var listSteps = 0
  /// Groups and caches that reclaims have visited.
  var reclaimSteps = 0
  /// Linux 4.10 only: entries of the array of children that each root would have.
  var childArraySize = 0

  // Counters that the reports add up.
  var groupsCreated = 0
  var groupsOfflined = 0
  var groupsReleased = 0
  var childCachesCreated = 0
  var childCachesShutDown = 0
  /// Of those shut down.
  var childCachesAwaitingBarrier = 0
  var childCachesReleased = 0
  var childCachesReparented = 0
  var rootCachesCreated = 0
  var rootCachesReleased = 0
  var aliasesCreated = 0
  var aliasesDropped = 0

  init(
    rootIndices: consuming IDTable, groupIDs: consuming IDTable, groupNames: consuming GroupNames
  ) {
    self.rootIndices = rootIndices
    self.groupIDs = groupIDs
    self.groupNames = groupNames
  }
}

/// Dense ids that are used again: of groups, as soon as one is offline (kmemcg_id), and of roots, when one is
/// released.
///
/// A word per id in a reservation of its own: the address of what has it, if somebody has set that, or, with
/// the lowest bit set, the next free id. Under the registry lock.
struct IDTable: ~Copyable {
  private let words: Words
  let limit: Int
  private var end = 0
  private var committed = 0
  private var firstFree = 0
  private var inUse = 0

  private static var step: Int { 4096 / 8 }
  private static var fewest: Int { 1 << 16 }
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

  mutating func set(_ id: Int, to group: Pointer<Group>) { words[id] = UInt64(group.address) }

  /// Ids above 0 only: 0 is for ever the root group's, and that of the first cache of the core.
  mutating func free(_ id: Int) {
    words[id] = UInt64(firstFree) << 1 | 1
    firstFree = id
    inUse -= 1
  }

  /// The online group of an id.
  func group(_ id: Int) -> Pointer<Group>? {
    guard id < end, words[id] & 1 == 0 else { return nil }
    return Pointer(address: UInt(words[id]))
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
