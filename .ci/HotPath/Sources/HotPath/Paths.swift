// SPDX-License-Identifier: Apache-2.0
// The paths that must stay short, a function each: `.ci/hot_path` reads their machine code.
//
// Each is what a user would write, with nothing unsafe. The check takes every function of this file;
// one whose name ends with `CurrentGroup` may look up a task-local.

import Slab

/// 64 bytes without references.
struct Session {
  var words = InlineArray<8, UInt>(repeating: 0)
}

/// An object for a group that is named: allocated, filled, freed.
@inline(never)
func slotInGroup(
  _ sessions: SlabCache<Session>, _ group: MemoryGroup, _ session: Session
) throws(SlabError) -> UInt {
  var slot = try sessions.allocate(session, in: group)
  slot.value.words[1] &+= 1
  return slot.value.words[1]
}

/// The same for the current group.
@inline(never)
func slotInCurrentGroup(
  _ sessions: SlabCache<Session>, _ session: Session
) throws(SlabError) -> UInt {
  var slot = try sessions.allocate(session)
  slot.value.words[1] &+= 1
  return slot.value.words[1]
}

/// Without errors.
@inline(never)
func slotIfPossible(
  _ sessions: SlabCache<Session>, _ group: MemoryGroup, _ session: Session
) -> UInt {
  guard let slot = sessions.allocateIfPossible(in: group, { session }) else { return 0 }
  return slot.value.words[1]
}

/// An object with two owners, one after the other.
@inline(never)
func sharedSlot(
  _ sessions: SlabCache<SharedObject<Session>>, _ group: MemoryGroup, _ session: Session
) throws(SlabError) -> UInt {
  let slot = try sessions.allocate(sharing: session, in: group)
  let other = slot.share()
  return slot.value.words[1] &+ other.value.words[2]
}

/// A read-side section with something to read in it.
@inline(never)
func readSection(_ session: Session) -> UInt {
  RCU.read { session.words[1] }
}

/// The elements of an array, one after the other: a loop that must be as good as one over an `Array`.
@inline(never)
func arraySum(_ numbers: borrowing SlabArray<UInt>) -> UInt {
  var sum: UInt = 0
  for index in numbers.indices { sum &+= numbers[index] }
  return sum
}

/// Changes each element in its place.
@inline(never)
func arrayChange(_ sessions: inout SlabArray<Session>) {
  for index in sessions.indices { sessions[index].words[1] &+= 1 }
}

/// Elements that are added where there mostly is room.
@inline(never)
func arrayAppend(
  _ numbers: inout SlabArray<UInt>, _ first: UInt
) throws(SlabError) {
  for number in 0..<8 as Range<UInt> { try numbers.append(first &+ number) }
}
