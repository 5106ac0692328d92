// SPDX-License-Identifier: Apache-2.0
// One wrapper per system call: the only place where the allocator enters the kernel. Each can be
// made to fail by `FaultInjection`. None retries; EINTR can come from the futex calls alone, whose
// callers loop anyway.

internal import CSlabPlatform

package enum SystemCall {
  /// Turns the shim's "result or -errno" into a result or an error, unless a fault is planned.
  @inline(__always)
  static func perform(
    _ call: SystemCallSet, _ body: () -> Int
  ) throws(Errno) -> Int {
    HeldLocks.expectNone(below: .region, "a call to the system")
    if let forced = FaultInjection.forcedError(of: call) { throw forced }
    let result = body()
    if result < 0 && result >= -4095 { throw Errno(rawValue: Int32(-result)) }
    return result
  }

  /// Membarrier commands, by the kernel's names and numbers: not every libc's headers have them.
  package enum MembarrierCommand: Int32 {
    case privateExpeditedRseq = 128
    case registerPrivateExpeditedRseq = 256
  }

  package static func membarrier(_ command: MembarrierCommand) throws(Errno) {
    _ = try perform(.membarrier) { slab_membarrier(command.rawValue) }
  }

  /// Lets the kernel interrupt a restartable sequence, in a child that shares the memory: about a tenth of a
  /// millisecond.
  ///
  /// - Throws: `.notSupported` if the kernel did not abort it; any other error if the trial could not be made.
  package static func trySequence() throws(Errno) {
    _ = try perform(.sequenceTrial) { slab_rseq_trial() }
  }

  /// Sleeps until the word is woken, if it still has the expected value. 0 ns: without a timeout.
  package static func futexWait(
    at word: UInt, expecting expected: UInt32, nanoseconds: UInt64 = 0
  ) throws(Errno) {
    // SAFETY: the kernel checks the address.
    _ = try perform(.futexWait) {
      unsafe slab_futex_wait(UnsafeRawPointer(bitPattern: word), expected, nanoseconds)
    }
  }

  /// Wakes up to `count` sleepers.
  package static func futexWake(at word: UInt, count: Int32) throws(Errno) {
    // SAFETY: the kernel only uses the address as a key.
    _ = try perform(.futexWake) {
      unsafe slab_futex_wake(UnsafeRawPointer(bitPattern: word), count)
    }
  }

  /// Starts a detached thread with a stack as any other thread's, and all signals blocked but those that
  /// its own code causes.
  package static func startThread(
    _ entry: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer?,
    argument: UInt
  ) throws(Errno) {
    // SAFETY: the entry's contract with its argument is the caller's.
    _ = try perform(.startThread) {
      unsafe slab_thread_start(entry, UnsafeMutableRawPointer(bitPattern: argument))
    }
  }

  /// Nanoseconds of the monotonic clock.
  @inline(__always)
  package static var monotonicNanoseconds: UInt64 { slab_clock_monotonic() }

  /// The same, some milliseconds late, for less.
  @inline(__always)
  package static var coarseNanoseconds: UInt64 { slab_clock_coarse() }

  /// Runs the three functions around every fork of the process, from now on.
  package static func registerForkHandlers(
    prepare: @convention(c) () -> Void, parent: @convention(c) () -> Void,
    child: @convention(c) () -> Void
  ) throws(Errno) {
    let result = slab_at_fork(prepare, parent, child)
    if result < 0 { throw Errno(rawValue: Int32(-result)) }
  }

  /// Keeps the shared library that this is linked into loaded for as long as the process lives; whether
  /// there is one. Calls the loader, which uses the C library's heap: not under a lock.
  @discardableResult
  package static func pinLibrary() -> Bool { slab_pin_library() != 0 }

  /// Whether an environment variable has this value; `nil` if it is not set.
  package static func environment(_ name: StaticString, equals value: StaticString) -> Bool? {
    // SAFETY: static strings are zero-terminated and immortal.
    let answer = unsafe name.utf8Start.withMemoryRebound(to: CChar.self, capacity: 1) { name in
      unsafe value.utf8Start.withMemoryRebound(to: CChar.self, capacity: 1) { value in
        unsafe slab_environment_equals(name, value)
      }
    }
    return answer < 0 ? nil : answer == 1
  }

  /// The number from 1 to `most` that an environment variable has; `nil` if it is not set. Any other value ends the
  /// process with a line.
  static func environment(
    _ name: StaticString, upTo most: Int, otherwise line: StaticString
  ) -> Int? {
    // SAFETY: static strings are zero-terminated and immortal.
    let number = unsafe name.utf8Start.withMemoryRebound(to: CChar.self, capacity: 1) { name in
      unsafe slab_environment_number(name, most)
    }
    guard number >= 0 else { fatal(line) }
    return number > 0 ? number : nil
  }
}
