// SPDX-License-Identifier: Apache-2.0
// A child of fork that is stepped instruction by instruction, as a debugger does it: each step is a trap,
// and each trap restarts a sequence that it falls into.

import Glibc

private typealias Trace = @convention(c) (Int, Int32, UInt, UInt) -> Int

/// ptrace(2), whose variable arguments the importer leaves out.
private let trace = unsafe unsafeBitCast(dlsym(nil, "ptrace")!, to: Trace.self)
private let traceMe = 0
private let singleStep = 9

/// Steps a child of fork through a body. The exit code of the child, which is what the body returns, or
/// nil if it did not come to its end within so many steps. Call `prepareForForks`, and run the body once
/// before.
package func stepThroughChild(most steps: Int, _ body: () -> Int32) -> Int? {
  let child = forkProcess(endingAfter: 120)
  if child == 0 {
    _ = trace(traceMe, 0, 0, 0)
    raise(SIGSTOP)
    _exit(body())
  }
  var status: Int32 = 0
  for _ in 0..<steps {
    guard unsafe waitpid(child, &status, 0) == child else { return nil }
    if status & 0x7f == 0 { return Int(status >> 8 & 0xff) }
    guard status & 0xff == 0x7f else { return 1000 + Int(status & 0x7f) }
    // The stop itself and the traps are ours; every other signal is the child's.
    let signal = status >> 8 & 0xff
    _ = trace(singleStep, child, 0, signal == SIGTRAP || signal == SIGSTOP ? 0 : UInt(signal))
  }
  kill(child, SIGKILL)
  _ = unsafe waitpid(child, &status, 0)
  return nil
}
