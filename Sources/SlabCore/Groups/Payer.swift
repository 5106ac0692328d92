// SPDX-License-Identifier: Apache-2.0
// Who is charged for objects in slabs that groups share: the kernel's obj_cgroup. The objects of a group refer to its
// payer, and the payer to the group. So a group that ends hands over all of them in O(1), however many there are: its
// payer says that its parent's pays.
//
// A payer stands in a tree as its group does, and lives as long as something refers to it: its group, objects or bytes
// in stock (`charged`), or a payer below. A group that shares has one, and so have all groups above it.
//
// What is charged to a group by payers is `charged` of its own and `inherited`: what those below it are charged whose
// groups have ended.

internal import SlabPlatform
internal import Synchronization

struct Payer: ~Copyable {
  /// Under the page lock: the group that is charged; `nil` when it has handed over to the parent.
  var group: Pointer<Group>?
  /// The payer of the group above; `nil` in the root group's.
  let parent: Pointer<Payer>?
  /// Bytes of live objects, and those in stocks. Raised by holders of a handle, lowered under the page lock.
  let charged = Atomic<Int>(0)
  // Under the page lock:
  /// Bytes of payers below whose groups have ended, and which this one pays.
  var inherited = 0
  /// What refers to it besides bytes: its group, payers below, and threads that need it.
  var holds: UInt32 = 1
  /// Payers below.
  var children: UInt32 = 0
  var keeping = Keeping.nothing
  /// Whether the group has gone offline: then nothing of it is kept in stock.
  let isEnded = Atomic<Bool>(false)
  /// The next one of those that are freed together.
  var next: Pointer<Payer>? = nil

  /// Whether charges alone keep a group that has ended, whose policy is to be kept.
  enum Keeping: UInt8 {
    case nothing
    case group
    /// A thread that saw the last of them go is about to release it.
    case groupForAMoment
  }

  static var bytes: Int { 64 }

  init(group: Pointer<Group>, parent: Pointer<Payer>?) {
    self.group = group
    self.parent = parent
  }
}

extension Pointer where Pointee == Payer {
  /// The payer itself, or the nearest one above whose group has not handed over.
  func paying(under lock: borrowing PagesLocked) -> Pointer<Payer> {
    var payer = self
    while payer.pointee.group == nil, let parent = payer.pointee.parent { payer = parent }
    return payer
  }

  /// What the group is charged by payers.
  func chargedToGroup(under lock: borrowing PagesLocked) -> Int {
    pointee.charged.load(ordering: .relaxed) + pointee.inherited
  }
}

/// Payers that nothing refers to any more, between the page lock, under which that was found, and their cache.
struct ReleasedPayers {
  private var first: Pointer<Payer>? = nil

  /// Adds a payer if nothing refers to it, and those above it that it was the last to refer to.
  mutating func addIfUnused(_ payer: Pointer<Payer>, under lock: borrowing PagesLocked) {
    var candidate = payer
    while candidate.pointee.holds == 0, candidate.pointee.charged.load(ordering: .relaxed) == 0 {
      candidate.pointee.next = first
      first = candidate
      guard let parent = candidate.pointee.parent else { return }
      parent.pointee.holds -= 1
      parent.pointee.children -= 1
      candidate = parent
    }
  }

  func free(to state: Pointer<GroupsState>) {
    var next = first
    while let payer = next {
      next = payer.pointee.next
      state.pointee.payers.cache.free(payer.address)
    }
  }
}

extension Pointer where Pointee: HasGroups & ~Copyable {
  /// What an entry of a slab says, and a word of a stock in its upper half: a descriptor's offset in granules.
  func number(of payer: Pointer<Payer>) -> UInt32 {
    UInt32((payer.address - pages.pointee.map.heapBase) >> UnitMap.granuleShift)
  }

  func payer(_ number: UInt32) -> Pointer<Payer> {
    // SAFETY: what bears the number keeps the payer: a live object, or bytes in stock.
    unsafe Pointer<Payer>(
      nonzeroAddress: pages.pointee.map.heapBase + UInt(number) << UnitMap.granuleShift)
  }

  /// For a thread that needs a payer beyond its object.
  func hold(_ payer: Pointer<Payer>) {
    let lock = pages.pointee.lock.lock()
    payer.pointee.holds += 1
    lock.unlock()
  }

  func drop(_ payer: Pointer<Payer>) {
    var released = ReleasedPayers()
    let lock = pages.pointee.lock.lock()
    payer.pointee.holds -= 1
    released.addIfUnused(payer, under: lock)
    lock.unlock()
    released.free(to: groupsState)
  }
}
