// The figures of a group, where others work while they are read.

import SlabTestSupport
import Testing

@testable import Slab

@Suite(.inTurn) struct StatisticsTests {
  private func cache(slabs: Int, objects: Int, isInherited: Bool) -> MemoryGroup.Statistics.Cache {
    MemoryGroup.Statistics.Cache(
      name: "cache", objectSize: 1, objectsInUse: objects, objectsTotal: slabs, slabBytes: slabs,
      isInherited: isInherited)
  }

  /// Charges that came after `current` was read make no kind negative, and the kinds still add up.
  @Test(arguments: [0, 4096, 16384, 20480, 1 << 30]) func neverNegative(current: Int) {
    let figures = MemoryGroup.Statistics(
      current: current,
      caches: [
        cache(slabs: 8192, objects: 100, isInherited: false),
        cache(slabs: 4096, objects: 50, isInherited: true),
      ], below: 4096)
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
