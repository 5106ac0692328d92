// SPDX-License-Identifier: Apache-2.0
// The names of a root's users, read while users come and go.

import SlabTestSupport
import Testing

@testable import SlabCore
@testable import SlabPlatform

@Suite(.inTurn) struct NumberedCacheTests {
  /// The body runs without the registry lock, which each of these calls takes.
  @Test func namesAreReadWhileUsersComeAndGo() throws {
    try withMergingAllocator { allocator in
      var users = try (0..<50).map { try allocator.makeReference("n\($0)", size: 64) }
      let root = users[0].root
      var met: [String] = []
      allocator.forEachName(of: root) { name in
        HeldLocks.expectNone(below: .inHand, "the body of a test")
        met.append(name.text)
        do {
          // The first one, the oldest alias, one that was met and one that was not.
          if met.count == 20 {
            for index in [40, 10, 1, 0] { try allocator.destroy(users.remove(at: index)) }
          }
          if met.count % 10 == 0 {
            users.append(try allocator.makeReference("new-\(met.count)", size: 64))
          }
        } catch { Issue.record(error) }
      }
      #expect(
        met.filter { $0.hasPrefix("n") && !$0.hasPrefix("new") && $0 != "n40" }
          == (0..<50).filter { $0 != 40 }.map { "n\($0)" })
      #expect(Set(met).count == met.count)
      let expected = users.map(\.nameOfUser.text)
      var again: [String] = []
      allocator.forEachName(of: root) { again.append($0.text) }
      #expect(again == expected)
      #expect(allocator.aliasCount(of: root) == users.count - 1)
      #expect(allocator.firstName(of: root).text == "n2")
      expectWhole(allocator)
      for user in users { try allocator.destroy(user) }
    }
  }

  /// The last alias is freed in the ring in which the walk stands.
  @Test(arguments: [false, true]) func theRootEndsMeanwhile(firstIsLast: Bool) throws {
    try withMergingAllocator { allocator in
      var users = try (0..<40).map { try allocator.makeReference("n\($0)", size: 64) }
      let root = users[0].root
      allocator.hold(root)
      var met = 0
      allocator.forEachName(of: root) { _ in
        met += 1
        guard met == 5 else { return }
        if firstIsLast { users.reverse() }
        do { for user in users { try allocator.destroy(user) } } catch { Issue.record(error) }
      }
      #expect(met == 16)
      #expect(allocator.firstName(of: root).text == (firstIsLast ? "n0" : "n39"))
      allocator.unhold(root)
      expectWhole(allocator)
    }
  }
}
