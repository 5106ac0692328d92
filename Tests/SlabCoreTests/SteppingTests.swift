// SPDX-License-Identifier: Apache-2.0
// The paths that users step over, in the mode of this process: see SlabPlatformTests/SteppingTests.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct SteppedPathsTests {
  @Test func allocatingFreeingAndReadingGetThrough() async {
    await #expect(processExitsWith: .success) {
      let allocator = try Allocator()
      let root = try unsafe allocator.makeCache("stepped", size: 64)
      let group = try allocator.makeGroup("group")
      // Warm, so that there is a sheaf.
      let warm = try (0..<100).map { _ in try allocator.allocate(from: root, in: group) }
      for object in warm { allocator.free(object) }
      let operate: () -> Int32 = {
        let section = allocator.beginReading()
        var objects: [UInt] = []
        for _ in 0..<4 {
          guard let object = try? allocator.allocate(from: root, in: group) else { return 1 }
          objects.append(object)
        }
        let areApart = Set(objects).count == 4
        for object in objects { allocator.free(object) }
        allocator.endReading(section)
        return areApart && !allocator.hasOpenSections ? 42 : 2
      }
      #expect(operate() == 42)
      prepareForForks()
      #expect(stepThroughChild(most: 2_000_000, operate) == 42)
      allocator.synchronize()
      expectWhole(allocator)
    }
  }
}
