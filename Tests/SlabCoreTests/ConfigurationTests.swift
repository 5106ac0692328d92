// SPDX-License-Identifier: Apache-2.0
// Settings outside their bounds are errors that say which, and nothing is left of the attempt.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct ConfigurationTests {
  @Test(arguments: [Int.min, -1, 0]) func addressSpace(bytes: Int) {
    var configuration = AllocatorConfiguration()
    configuration.addressSpaceBytes = bytes
    #expect(throws: AllocatorError.invalidSetting(.addressSpaceBytes, value: bytes)) {
      try Allocator(configuration: configuration)
    }
  }

  @Test(arguments: [Int.min, -1, 0, 9, .max]) func workers(limit: Int) {
    var configuration = AllocatorConfiguration()
    configuration.workerLimit = limit
    #expect(throws: AllocatorError.invalidSetting(.workerLimit, value: limit)) {
      try Allocator(configuration: configuration)
    }
    configuration.workerLimit = 8
    configuration.callbackWorkerLimit = limit
    #expect(throws: AllocatorError.invalidSetting(.callbackWorkerLimit, value: limit)) {
      try Allocator(configuration: configuration)
    }
  }

  @Test func boundsAreSettings() throws {
    for limit in [1, 8] {
      var configuration = AllocatorConfiguration()
      configuration.workerLimit = limit
      configuration.callbackWorkerLimit = limit
      try withAllocator(configuration: configuration) { _ in }
    }
  }

  /// Whichever part is refused, the error says what is needed in all.
  @Test func refusedAddressesAreNamed() async {
    await #expect(processExitsWith: .success) {
      var sizes: [Int] = []
      // The CPU layer, the heap, four tables.
      for part in 1...6 {
        FaultInjection.failCall(part, of: .reserve, with: .noMemory, repeating: true)
        do throws(AllocatorError) {
          _ = try Allocator()
          Issue.record("part \(part) was not refused")
        } catch {
          guard case .outOfAddressSpace(let bytes, .noMemory) = error else {
            Issue.record("\(error)")
            continue
          }
          sizes.append(bytes)
        }
        #expect(FaultInjection.end() >= 1)
      }
      let rest = sizes[0] - PerCPURegion.fewestBytes
      // The page map, the heap, and what aligns it.
      #expect(rest > 16 << 20 && rest < 32 << 20)
      let region = try PerCPURegion(mode: PerCPUMode.choose().mode)
      #expect(sizes.dropFirst().allSatisfy { $0 == region.reservedBytes + rest })
      region.unmap()
    }
  }
}
