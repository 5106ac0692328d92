// SPDX-License-Identifier: Apache-2.0
// The n-th system call fails, n = 1, 2, 3 … until none is left to fail.
//
// Plans belong to the whole process: use this in an exit test, where no other test is at work.

package import SlabPlatform
package import Testing

extension SystemCallSet {
  /// What fails somewhere. A wake never does, for an address that there is; one that is made to fail is lost by a lock, and
  /// the worker that sleeps at it would sleep for ever.
  package static var failing: SystemCallSet { all.subtracting(.futexWake) }
}

/// Makes the n-th of `calls` fail while `operate` runs, for n = 1, 2, 3 …, until a run meets no
/// forced error any more; each time between a `setUp` and a `check`, which make their calls
/// undisturbed. Returns how many runs had a failing call.
@discardableResult
package func failEachCall<Context>(
  of calls: SystemCallSet = .failing, with error: Errno = .noMemory, repeating: Bool,
  most: Int = 200, sourceLocation: SourceLocation = #_sourceLocation,
  setUp: () throws -> Context, operate: (Context) -> Void, check: (Context, Int) throws -> Void
) throws -> Int {
  for nth in 1...most {
    let context = try setUp()
    FaultInjection.failCall(nth, of: calls, with: error, repeating: repeating)
    operate(context)
    let hits = FaultInjection.end()
    try check(context, nth)
    if hits == 0 { return nth - 1 }
  }
  Issue.record("more than \(most) calls", sourceLocation: sourceLocation)
  return most
}

extension Errno {
  /// ENOSYS: this kernel does not have the call.
  package static let noFunction = Errno(rawValue: 38)
}
