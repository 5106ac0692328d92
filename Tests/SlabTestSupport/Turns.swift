// SPDX-License-Identifier: Apache-2.0
// Tests take turns: as many at a time as there are CPUs.
//
// The test library begins all tests at once, and its time limits run from there: on two CPUs a test
// of a millisecond may have waited a minute for its thread, and fail. In turn a test has its CPU, and
// its bound counts what it does itself. A test that hangs is named, and ends the run: nothing can be
// done with a thread that is blocked.

import Dispatch
import Foundation
import Glibc
import Synchronization
package import Testing

/// The trait of every suite.
package struct Turn: SuiteTrait, TestTrait, TestScoping {
  fileprivate let minutes: Int

  package var isRecursive: Bool { true }

  package func scopeProvider(for test: Test, testCase: Test.Case?) -> Turn? {
    testCase == nil ? nil : self
  }

  @concurrent
  package func provideScope(
    for test: Test, testCase: Test.Case?,
    performing function: @concurrent @Sendable () async throws -> Void
  ) async throws {
    await Turns.take()
    defer { Turns.giveBack() }
    let name = "\(test.id)"
    let minutes = minutes
    let alarm = DispatchWorkItem {
      let line = "test \(name) has not ended within \(minutes) minutes\n"
      FileHandle.standardError.write(Data(line.utf8))
      abort()
    }
    // A queue of its own: the test may block all threads of the others.
    DispatchQueue(label: "bound").asyncAfter(
      deadline: .now() + .seconds(60 * minutes), execute: alarm)
    defer { alarm.cancel() }
    try await function()
  }
}

extension Trait where Self == Turn {
  /// Tests run in turn, each bounded by two minutes.
  package static var inTurn: Turn { .inTurn(minutes: 2) }

  /// Tests run in turn, each bounded.
  package static func inTurn(minutes: Int) -> Turn { Turn(minutes: minutes) }
}

/// The order in which tests may run: first come, first served.
private enum Turns {
  private struct State {
    var free: Int
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private static let state = Mutex(State(free: max(1, allowedCPUs().count)))

  static func take() async {
    await withCheckedContinuation { continuation in
      let isFree = state.withLock { state in
        if state.free > 0 {
          state.free -= 1
          return true
        }
        state.waiting.append(continuation)
        return false
      }
      if isFree { continuation.resume() }
    }
  }

  static func giveBack() {
    let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
      if state.waiting.isEmpty {
        state.free += 1
        return nil
      }
      return state.waiting.removeFirst()
    }
    next?.resume()
  }
}
