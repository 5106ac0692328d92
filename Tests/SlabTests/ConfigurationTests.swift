// SPDX-License-Identifier: Apache-2.0
// What a user reads when an allocator cannot be made.

import Glibc
import Slab
import SlabPlatform
import SlabTestSupport
import Testing

@Suite(.inTurn) struct SettingTests {
  @Test func errorsNameTheSettingAndItsValue() throws {
    var configuration = SlabAllocator.Configuration()
    configuration.workerLimit = 9
    let error = #expect(throws: SlabError.invalidSetting(name: "workerLimit", value: 9)) {
      try SlabAllocator(configuration: configuration)
    }
    #expect(try #require(error).description == "workerLimit is 9: it is 1 to 8")
    configuration.workerLimit = 1
    configuration.addressSpaceBytes = -4096
    #expect(throws: SlabError.invalidSetting(name: "addressSpaceBytes", value: -4096)) {
      try SlabAllocator(configuration: configuration)
    }
  }

  /// The shared allocator cannot throw: the line says what was refused.
  @Test func sharedOneSaysWhy() async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      _ = signal(SIGABRT, SIG_DFL)
      FaultInjection.failCall(1, of: .reserve, with: .noMemory, repeating: true)
      _ = SlabAllocator.shared
    }
    let line = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(
      line == """
        slab: allocator: the shared one cannot be made: no addresses (errno 12): an allocator needs \
        157417472 bytes of them at least, and the limit on address space (ulimit -v) leaves fewer

        """)
  }
}
