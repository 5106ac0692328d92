// SPDX-License-Identifier: Apache-2.0
// Charging: exact numbers at every level, refusal that changes nothing, `max` that is never
// exceeded, and reclaim of the group's own empty slabs before a refusal.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

/// A group's counters in slabs of one object.
private func current(_ group: Pointer<Group>) -> Int {
  group.currentBytes / slabOfOne
}

private func peak(_ group: Pointer<Group>) -> Int {
  group.peakBytes / slabOfOne
}

/// A cache whose objects are charged when they are taken and uncharged when they are freed.
private func makePlainCache(_ allocator: Allocator) throws -> Pointer<RootCache> {
  let root = try allocator.makeCache("plain", size: slabOfOne)
  try allocator.setMinPartial(0, of: root)
  try allocator.setSheafCapacity(0, of: root)
  return root
}

@Suite(.inTurn) struct ChargeTests {
  /// Random charges in a tree with limits against a model: current, peak, and which group refuses.
  @Test func exactAtEveryLevel() throws {
    try withSeed { seed in
      try withAllocator { allocator in
        var random = SeededGenerator(seed: seed)
        let root = try makePlainCache(allocator)
        // 0 is the root group; 1 and 2 below it, 3 to 6 below them, 7 below 3.
        let parents = [-1, 0, 0, 1, 1, 2, 2, 3]
        let limits = [Int.max, 30, 25, 12, 20, 15, 14, 9]
        var groups = [allocator.rootGroup]
        for index in 1..<8 {
          groups.append(
            try allocator.makeGroup(
              "group-\(index)", below: groups[parents[index]], max: limits[index] * slabOfOne))
        }
        var model = [Int](repeating: 0, count: 8)
        var peaks = model
        var live: [(address: UInt, group: Int)] = []
        for _ in 0..<4000 {
          if live.isEmpty || Int.random(in: 0..<5, using: &random) < 3 {
            let wanted = Int.random(in: 1..<8, using: &random)
            var path = [wanted]
            while let parent = path.last, parent > 0 { path.append(parents[parent]) }
            let refusing = path.first { model[$0] == limits[$0] }
            do throws(AllocatorError) {
              live.append((try allocator.allocate(from: root, in: groups[wanted]), wanted))
              #expect(refusing == nil)
              for index in path {
                model[index] += 1
                peaks[index] = max(peaks[index], model[index])
              }
            } catch {
              #expect(error == refusing.map { AllocatorError.groupLimit(groups[$0]) })
            }
          } else {
            live.swapAt(live.indices.randomElement(using: &random)!, live.count - 1)
            let object = live.removeLast()
            allocator.free(object.address)
            var index = object.group
            while index >= 0 {
              model[index] -= 1
              index = parents[index]
            }
          }
          #expect(groups.map { current($0) } == model)
          #expect(groups.map { peak($0) } == peaks)
        }
        for object in live { allocator.free(object.address) }
        for group in groups.dropFirst().reversed() { allocator.release(group) }
        try allocator.destroy(root)
      }
    }
  }

  /// Threads press against limits at two levels; samplers look all the while.
  @Test func neverAboveMax() throws {
    try withSeed { seed in
      try withAllocator { allocator in
        let root = try makePlainCache(allocator)
        let small = try allocator.makeCache("small", size: 600)
        let parent = try allocator.makeGroup("parent", max: 40 * slabOfOne)
        let children = try (0..<2).map {
          try allocator.makeGroup("child-\($0)", below: parent, max: 30 * slabOfOne)
        }
        let groups = [parent] + children
        let isDone = Shared(false)
        let samplers = (0..<2).map { _ in
          TestThread {
            while !isDone.with({ $0 }) {
              for group in groups {
                let (now, top) = (group.currentBytes, group.peakBytes)
                let limit = group.pointee.max.load(ordering: .relaxed)
                if now > limit || top > limit { Issue.record("\(now), \(top) above \(limit)") }
                if now < 0 { Issue.record("below zero") }
              }
            }
          }
        }
        let refusals = Shared(0)
        onThreads(6) { thread in
          var random = SeededGenerator(seed: seed &+ UInt64(thread))
          var mine: [UInt] = []
          let group = children[thread % 2]
          for _ in 0..<2500 {
            if Int.random(in: 0..<100, using: &random) < 60 {
              do throws(AllocatorError) {
                mine.append(
                  try allocator.allocate(from: thread < 4 ? root : small, in: group))
              } catch {
                guard error == .groupLimit(group) || error == .groupLimit(parent) else {
                  Issue.record("\(error)")
                  continue
                }
                refusals.with { $0 += 1 }
                for object in mine { allocator.free(object) }
                mine = []
              }
            } else if let object = mine.popLast() {
              allocator.free(object)
            }
          }
          for object in mine { allocator.free(object) }
        }
        isDone.with { $0 = true }
        for sampler in samplers { sampler.join() }
        #expect(refusals.with { $0 } > 0)
        #expect(peak(parent) > 20)
        expectWhole(allocator)
        for group in groups.reversed() {
          try allocator.close(group)
        }
        allocator.waitUntilIdle()
        for group in groups { #expect(group.currentBytes == 0) }
        for group in groups.reversed() { allocator.release(group) }
        for root in [root, small] { try allocator.destroy(root) }
      }
    }
  }

  /// A refusal at any level leaves the counters of all levels alone.
  @Test(arguments: 0..<4) func refusalChangesNothing(refusingLevel: Int) throws {
    try withAllocator { allocator in
      let root = try makePlainCache(allocator)
      var path: [Pointer<Group>] = []
      for level in 0..<4 {
        path.append(
          try allocator.makeGroup(
            "level-\(level)", below: path.last,
            max: level == refusingLevel ? 2 * slabOfOne + 4096 : Group.unlimited))
      }
      let objects = try (0..<2).map { _ in try allocator.allocate(from: root, in: path.last) }
      for _ in 0..<3 {
        allocator.expectError(.groupLimit(path[refusingLevel])) { () throws(AllocatorError) in
          try allocator.allocate(from: root, in: path.last)
        }
        #expect(path.map { current($0) } == [2, 2, 2, 2])
        #expect(path.map { peak($0) } == [2, 2, 2, 2])
        #expect(allocator.statistics.chargedBytes == 2 * slabOfOne)
        #expect(allocator.statistics.chargedBytesPeak == 2 * slabOfOne)
        expectWhole(allocator)
      }
      for object in objects { allocator.free(object) }
      for group in path.reversed() { allocator.release(group) }
      try allocator.destroy(root)
    }
  }

  /// What `min_partial` keeps, and what lies in a sheaf, is given back before a charge is refused.
  @Test(arguments: [false, true]) func reclaimsItsOwnFirst(fromSheaf: Bool) throws {
    try withAllocator { allocator in
      let hoard = try allocator.makeCache("hoard", size: slabOfOne)
      let other = try allocator.makeCache("other", size: slabOfOne)
      try allocator.setSheafCapacity(fromSheaf ? 4 : 0, of: hoard)
      let group = try allocator.makeGroup("group", max: 4 * slabOfOne)
      try onOneCPU {
        if fromSheaf { try allocator.warmUp(hoard, in: group) }
        let objects = try (0..<4).map { _ in try allocator.allocate(from: hoard, in: group) }
        for object in objects { allocator.free(object) }
      }
      #expect(current(group) == 4)
      let fences = allocator.statistics.sheafFences
      let taken = try (0..<4).map { _ in try allocator.allocate(from: other, in: group) }
      #expect(current(group) == 4)
      #expect(allocator.statistics.sheafFences - fences <= (fromSheaf ? 1 : 0))
      allocator.expectError(.groupLimit(group)) { () throws(AllocatorError) in
        try allocator.allocate(from: hoard, in: group)
      }
      for object in taken { allocator.free(object) }
      allocator.release(group)
      for root in [hoard, other] { try allocator.destroy(root) }
    }
  }

  /// At a parent's limit a neighbour's empty slabs are needed; his objects are his.
  @Test func neighboursGiveTheirEmptySlabs() throws {
    try withAllocator { allocator in
      let root = try allocator.makeCache("plain", size: slabOfOne)
      try allocator.setSheafCapacity(0, of: root)
      let parent = try allocator.makeGroup("parent", max: 3 * slabOfOne)
      let hoarder = try allocator.makeGroup("hoarder", below: parent)
      let needy = try allocator.makeGroup("needy", below: parent)
      let objects = try (0..<3).map { _ in try allocator.allocate(from: root, in: hoarder) }
      allocator.expectError(.groupLimit(parent)) { () throws(AllocatorError) in
        try allocator.allocate(from: root, in: needy)
      }
      #expect(current(hoarder) == 3 && current(needy) == 0 && peak(needy) == 0)
      for object in objects { allocator.free(object) }
      #expect(current(hoarder) == 3)
      allocator.free(try allocator.allocate(from: root, in: needy))
      #expect(current(hoarder) == 0)
      for group in [needy, hoarder, parent] { allocator.release(group) }
      try allocator.destroy(root)
    }
  }

  @Test func maxCanBeSet() throws {
    try withAllocator { allocator in
      let root = try makePlainCache(allocator)
      let group = try allocator.makeGroup("group", max: 0)
      func refuse() {
        allocator.expectError(.groupLimit(group)) { () throws(AllocatorError) in
          try allocator.allocate(from: root, in: group)
        }
      }
      refuse()
      try allocator.setMax(2 * slabOfOne, of: group)
      let objects = try (0..<2).map { _ in try allocator.allocate(from: root, in: group) }
      refuse()
      // Below what is charged: nothing is taken away, nothing more is given.
      try allocator.setMax(slabOfOne, of: group)
      #expect(current(group) == 2)
      expectWhole(allocator)
      refuse()
      allocator.free(objects[0])
      refuse()
      try allocator.setMax(Group.unlimited, of: group)
      allocator.free(try allocator.allocate(from: root, in: group))
      allocator.free(objects[1])
      #expect(peak(group) == 2)
      allocator.release(group)
      try allocator.destroy(root)
    }
  }
}
