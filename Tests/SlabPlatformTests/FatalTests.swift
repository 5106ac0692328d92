// SPDX-License-Identifier: Apache-2.0
// The end of a process that broke the contract.

import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

/// A function of its own, since the macro cannot tell what a closure of type `Never` returns.
private func end() { fatal("test: the end") }

@Suite(.inTurn) struct FatalTests {
  @Test func writesOneLineAndAborts() async throws {
    let result = await #expect(
      processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
    ) {
      // Without the runtime's crash handler, which adds a backtrace.
      _ = signal(SIGABRT, SIG_DFL)
      end()
    }
    #expect(try #require(result).standardErrorContent == Array("slab: test: the end\n".utf8))
  }

  @Test func invariantsAreCheckedInDebugBuildsOnly() async {
    #if DEBUG
      await #expect(processExitsWith: .signal(SIGABRT)) {
        _ = signal(SIGABRT, SIG_DFL)
        invariant(1 + 1 == 3, "test: arithmetic")
      }
    #else
      invariant(1 + 1 == 3, "test: arithmetic")
    #endif
    invariant(1 + 1 == 2, "test: arithmetic")
  }
}
