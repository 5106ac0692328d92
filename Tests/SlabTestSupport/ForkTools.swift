// SPDX-License-Identifier: Apache-2.0
// Children of fork, bounded: a child that hangs ends by its own alarm. Nobody may count on a parent
// that kills it: a grandchild that outlives its parent would hold the test runner's pipes open, and
// the runner waits for their end.
//
// A child of a process with threads has whatever locks another thread held, and those of the
// language's runtime and of the test library no fork handler takes. So before it forks a test calls
// `prepareForForks`, and runs what its children will run once: what the runtime looks up under a
// lock (metadata, witness tables) is then found without.

import Glibc

private typealias Fork = @convention(c) () -> Int32

/// fork(2), which the overlay keeps from Swift since most of what a program does afterwards is
/// wrong. The child is ended by SIGALRM after `seconds`.
package func forkProcess(endingAfter seconds: UInt32 = 20) -> Int32 {
  let fork = unsafe unsafeBitCast(dlsym(nil, "fork")!, to: Fork.self)
  let process = fork()
  if process == 0 {
    // Threads that Dispatch started have their signals blocked, and so have those that they start.
    var alarms = sigset_t()
    unsafe sigemptyset(&alarms)
    unsafe sigaddset(&alarms, SIGALRM)
    _ = unsafe pthread_sigmask(SIG_UNBLOCK, &alarms, nil)
    alarm(seconds)
  }
  return process
}

/// The test library records a backtrace of every thrown error, under a lock; the core throws where
/// a system call answers with an error. Ends that in this process, which must be an exit test's.
package func prepareForForks() {
  for hook in ["_swift_willThrow", "_swift_willThrowTypedImpl"] {
    // SAFETY: the runtime's variable of that name is a pointer to a function, nil without a hook.
    let variable = unsafe dlsym(nil, hook)?.assumingMemoryBound(to: UInt.self)
    unsafe variable?.pointee = 0
  }
}

/// The exit code of a child; 1000 + the signal that ended it, 1014 for its alarm.
package func exitCode(ofChild process: Int32) -> Int {
  var status: Int32 = 0
  while unsafe waitpid(process, &status, 0) != process {}
  return status & 0x7f == 0 ? Int(status >> 8 & 0xff) : 1000 + Int(status & 0x7f)
}
