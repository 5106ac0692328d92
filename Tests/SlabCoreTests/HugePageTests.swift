// SPDX-License-Identifier: Apache-2.0
// The kernel is told to make no huge pages of the allocator's memory.

import Foundation
import SlabTestSupport
import Testing

@testable import SlabCore
@testable import SlabPlatform

@Suite(.inTurn) struct HugePageTests {
  private static let kernelHasThem = FileManager.default.fileExists(
    atPath: "/sys/kernel/mm/transparent_hugepage")

  /// The flags of the mapping that an address lies in.
  private func flags(ofMappingAt address: UInt) throws -> [Substring] {
    var isInside = false
    let file = try #require(FileHandle(forReadingAtPath: "/proc/self/smaps"))
    let text = String(decoding: try file.readToEnd() ?? Data(), as: UTF8.self)
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ")
      let ends = words[0].split(separator: "-").map { UInt($0, radix: 16) }
      if ends.count == 2, let start = ends[0], let end = ends[1] {
        isInside = start <= address && address < end
      } else if isInside, words[0] == "VmFlags:" {
        return Array(words.dropFirst())
      }
    }
    return []
  }

  @Test(.enabled(if: kernelHasThem)) func noneInAnyArea() throws {
    try withAllocator { allocator in
      let group = try allocator.makeGroup("tenant")
      let object = try allocator.allocate(bytes: 64 << 10, in: group)
      let map = allocator.pages.pointee.map
      let areas = [
        object, object + 2 << 30, map.words.address, allocator.region.pointee.base,
      ]
      for area in areas {
        let flags = try flags(ofMappingAt: area)
        #expect(flags.contains("nh"), "\(flags)")
      }
      allocator.free(object)
      allocator.release(group)
    }
  }
}
