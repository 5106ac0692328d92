// SPDX-License-Identifier: Apache-2.0
// Tenants that come and go at random, whose objects are full of a word of their own.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

/// Words of an object that are neither zero nor the tenant's own.
func strange(_ object: UInt, bytes: Int, own: UInt64) -> Int {
  let words = Words(at: object)
  return (0..<bytes / 8).count { words[$0] != 0 && words[$0] != own }
}

func fill(_ object: UInt, bytes: Int, with word: UInt64) {
  let words = Words(at: object)
  for index in 0..<bytes / 8 { words[index] = word }
}

/// Groups and their objects, each of which is full of its group's word.
struct TenantWorld {
  private struct Member {
    let group: Pointer<Group>
    let word: UInt64
  }

  let allocator: Allocator
  private var random: SeededGenerator
  private var members: [Member] = []
  private var objects: [(address: UInt, word: UInt64)] = []
  private var groupsMade: UInt64 = 0
  private(set) var handedOut = 0

  init(allocator: Allocator, seed: UInt64) {
    self.allocator = allocator
    random = SeededGenerator(seed: seed)
  }

  mutating func step() throws {
    switch Int.random(in: 0..<100, using: &random) {
    case 0..<4: try makeGroup()
    case 4..<7: try endGroup()
    case 7..<30: freeSome()
    case 30..<33: members.randomElement(using: &random)?.group.giveBackIdle()
    case 33 where Bool.random(using: &random): allocator.trim()
    default: try allocateSome()
    }
  }

  private mutating func makeGroup() throws {
    guard members.count < 12 else { return }
    let parent = Bool.random(using: &random) ? members.randomElement(using: &random)?.group : nil
    groupsMade += 1
    let memory = Int.random(in: 0..<3, using: &random) == 0 ? MemoryPolicy.shared : .isolated
    let group = try allocator.makeGroup("tenant", below: parent, memory: memory)
    members.append(Member(group: group, word: groupsMade << 32 | 0xabcd))
  }

  private mutating func endGroup() throws {
    guard let index = members.indices.randomElement(using: &random) else { return }
    let (group, word) = (members[index].group, members[index].word)
    guard group.pointee.onlineChildGroupCount == 0 else { return }
    members.remove(at: index)
    // Child groups that have ended would be discarded too, with objects that are to be freed.
    if Int.random(in: 0..<3, using: &random) == 0, group.pointee.childGroupCount == 0,
      !group.pointee.hasInheritedUnits, !allocator.hasShared(atOrBelow: group)
    {
      objects.removeAll { $0.word == word }
      try allocator.discard(group)
    }
    allocator.release(group)
    if Bool.random(using: &random) { allocator.waitUntilIdle() }
  }

  private mutating func freeSome() {
    for _ in 0..<Int.random(in: 1...20, using: &random) where !objects.isEmpty {
      objects.swapAt(Int.random(in: 0..<objects.count, using: &random), objects.count - 1)
      allocator.free(objects.removeLast().address)
    }
  }

  private mutating func allocateSome() throws {
    guard objects.count < 2000, let member = members.randomElement(using: &random) else { return }
    let sizes = [16, 40, 96, 200, 500, 1000, 2000, 6000, 70_000]
    let size = sizes.randomElement(using: &random)!
    for _ in 0..<Int.random(in: 1...6, using: &random) {
      let object = try allocator.allocate(bytes: size, in: member.group)
      let bytes = allocator.usableBytes(of: object)
      #expect(strange(object, bytes: bytes, own: member.word) == 0)
      fill(object, bytes: bytes, with: member.word)
      objects.append((object, member.word))
      handedOut += 1
    }
  }

  mutating func end() {
    for member in members.reversed() { try? allocator.close(member.group) }
    for object in objects { allocator.free(object.address) }
    for member in members { allocator.release(member.group) }
  }
}
