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

  @Test func refusedAddressesAreNamed() async {
    await #expect(processExitsWith: .success) {
      FaultInjection.failCall(1, of: .reserve, with: .noMemory, repeating: true)
      #expect(
        throws: AllocatorError.outOfAddressSpace(
          bytes: PerCPURegion.fewestBytes, errno: .noMemory)
      ) { try Allocator() }
      _ = FaultInjection.end()
    }
  }
}
