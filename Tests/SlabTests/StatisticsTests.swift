// SPDX-License-Identifier: Apache-2.0
// The figures of a group, where others work while they are read.

import SlabCore
import SlabTestSupport
import Testing

@testable import Slab

@Suite(.inTurn) struct StatisticsTests {
  /// Charges that came after `current` was read make no kind negative, and the kinds still add up.
  @Test(arguments: [0, 4096, 16384, 20480, 1 << 30]) func neverNegative(current: Int) {
    var figures = GroupCharge(current: current, below: 4096)
    figures.add(slabBytes: 8192, objectBytes: 100, isInherited: false)
    figures.add(slabBytes: 4096, objectBytes: 50, isInherited: true)
    #expect(figures.unused == max(0, current - 16384))
    #expect(figures.current == max(current, 16384))
    #expect(
      figures.objects + figures.freeInSlabs + figures.inherited + figures.unused + figures.below
        == figures.current)
  }

  /// Which limit, and how many.
  @Test func errorsCarryTheFigure() {
    #expect("\(SlabError.tooManyCaches(limit: 65_536))".contains("65536 caches"))
    #expect("\(SlabError.tooManyGroups(limit: 1 << 24))".contains("16777216 groups"))
    #expect("\(SlabError.groupTooDeep)".contains("64 levels"))
  }
}
