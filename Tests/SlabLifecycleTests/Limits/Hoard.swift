// SPDX-License-Identifier: Apache-2.0
// What the tests of limits share: objects of a group that could be done without, behind a shrinker, and
// a shrinker that has no objects but says what it is told to.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

/// Objects that a shrinker gives back, oldest first. Its lock is never held while it allocates or frees.
final class Hoard: Sendable {
  let allocator: Allocator
  private let objects = Shared([UInt]())
  /// What it was asked for, call by call.
  let asked = Shared([Int]())
  /// Called in each scan, before anything is freed.
  let whileAsked: @Sendable () -> Void

  init(_ allocator: Allocator, whileAsked: @escaping @Sendable () -> Void = {}) {
    self.allocator = allocator
    self.whileAsked = whileAsked
  }

  var count: Int { objects.with { $0.count } }

  func add(_ object: UInt) { objects.with { $0.append(object) } }

  func free(_ wanted: Int) -> Int {
    let taken = objects.with { objects in
      let taken = Array(objects.prefix(wanted))
      objects.removeFirst(taken.count)
      return taken
    }
    for object in taken { allocator.free(object) }
    return taken.count
  }

  func freeAll() { _ = free(.max) }

  /// The hoard must outlive the registration.
  func register(
    for group: Pointer<Group>, seeks: Int = 2, batch: Int = 128
  ) throws(AllocatorError) -> Pointer<Shrinker> {
    let context = unsafe Unmanaged.passUnretained(self).toOpaque()
    return try unsafe allocator.registerShrinker(
      ShrinkerConfiguration(
        count: { unsafe Unmanaged<Hoard>.fromOpaque($0).takeUnretainedValue().count },
        scan: { unsafe Unmanaged<Hoard>.fromOpaque($0).takeUnretainedValue().scan($1) },
        end: { unsafe Unmanaged<Hoard>.fromOpaque($0).takeUnretainedValue().end() },
        context: context, seeks: seeks, batch: batch),
      for: group)
  }

  private func scan(_ wanted: Int) -> Int {
    asked.with { $0.append(wanted) }
    whileAsked()
    return free(wanted)
  }

  /// Registrations that have ended.
  let ended = Shared(0)

  private func end() { ended.with { $0 += 1 } }
}

/// A shrinker's answers, and what it was asked for.
final class Oracle: Sendable {
  let freeable: Shared<Int>
  /// What each scan answers; the number it was asked for if `nil`.
  let answer = Shared<Int?>(nil)
  private let asked = Shared([Int]())

  init(freeable: Int) { self.freeable = Shared(freeable) }

  /// What it was asked for since the last time.
  func takeAsked() -> [Int] {
    asked.with { asked in
      defer { asked = [] }
      return asked
    }
  }

  func register(
    with allocator: Allocator, for group: Pointer<Group>, seeks: Int = 2, batch: Int = 128
  ) throws(AllocatorError) -> Pointer<Shrinker> {
    let context = unsafe Unmanaged.passUnretained(self).toOpaque()
    return try unsafe allocator.registerShrinker(
      ShrinkerConfiguration(
        count: {
          unsafe Unmanaged<Oracle>.fromOpaque($0).takeUnretainedValue().freeable.with { $0 }
        },
        scan: { unsafe Unmanaged<Oracle>.fromOpaque($0).takeUnretainedValue().scan($1) },
        end: { _ in },
        context: context, seeks: seeks, batch: batch),
      for: group)
  }

  private func scan(_ wanted: Int) -> Int {
    asked.with { $0.append(wanted) }
    return answer.with { $0 } ?? wanted
  }
}

extension Allocator {
  /// A cache whose objects are charged as slabs of their own: when they are taken, until they are freed.
  func makeChargedCache(_ name: String = "charged") throws(AllocatorError) -> Pointer<RootCache> {
    let root = try makeCache(name, size: slabOfOne)
    try setMinPartial(0, of: root)
    try setSheafCapacity(0, of: root)
    return root
  }

  /// Objects that nobody frees but the test.
  func take(
    _ count: Int, from root: Pointer<RootCache>, in group: Pointer<Group>
  ) throws(AllocatorError) -> [UInt] {
    var objects: [UInt] = []
    for _ in 0..<count { objects.append(try allocate(from: root, in: group)) }
    return objects
  }
}

extension Pointer where Pointee == Group {
  /// Charged now, in slabs of one object.
  var slabsCharged: Int { currentBytes / slabOfOne }
}

/// low, high, max, oom.
func counts(_ events: GroupEvents) -> [Int] { [events.low, events.high, events.max, events.oom] }
