// SPDX-License-Identifier: Apache-2.0
// Threads of a test's own. Not tasks: a test of locks and of per-CPU memory must say which threads
// there are, and must be able to block them.

import Glibc
import SlabPlatform
import Synchronization

/// A thread that runs a closure; `join` waits for its end and must be called once.
package struct TestThread: Sendable {
  private let thread: pthread_t

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  package init(_ body: @escaping @Sendable () -> Void) {
    let argument = unsafe Unmanaged.passRetained(Body(body)).toOpaque()
    var started = pthread_t()
    // SAFETY: the argument is the retained body, which the thread takes over.
    let error = unsafe pthread_create(
      &started, nil,
      { argument in
        unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, argument)
    guard error == 0 else { fatalError("pthread_create: \(error)") }
    thread = started
  }

  package func join() { _ = pthread_join(thread, nil) }
}

/// Runs `body` with the indices 0..<count on as many threads at once, and waits for all of them.
/// None begins before all are there.
package func onThreads(_ count: Int, _ body: @escaping @Sendable (Int) -> Void) {
  let gate = Gate()
  let threads = (0..<count).map { index in
    TestThread {
      gate.arrived.add(1, ordering: .relaxed)
      while gate.arrived.load(ordering: .relaxed) < count { sched_yield() }
      body(index)
    }
  }
  for thread in threads { thread.join() }
}

private final class Gate: Sendable {
  let arrived = Atomic<Int>(0)
}

/// Runs a body that must not change its CPU: what it puts on a sheaf it finds on that sheaf.
/// Which one it is may be said; it must be one of the thread's.
package func onOneCPU<Result>(
  _ wanted: Int? = nil, _ body: () throws -> Result
) rethrows -> Result {
  var before = [UInt8](repeating: 0, count: 1024)
  var only = before
  let cpu = wanted ?? currentCPU()
  guard unsafe GNU.getAffinity(0, before.count, &before) > -1 else {
    fatalError("the thread does not know its CPUs")
  }
  only[cpu / 8] = 1 << UInt8(cpu % 8)
  guard unsafe GNU.setAffinity(0, only.count, &only) == 0 else {
    fatalError("the thread cannot be kept on CPU \(cpu)")
  }
  defer { _ = unsafe GNU.setAffinity(0, before.count, &before) }
  return try body()
}

/// The CPU that the caller runs on, which may have changed when this returns.
package func currentCPU() -> Int { Int(GNU.currentCPU()) }

/// The CPUs that the calling thread may run on.
package func allowedCPUs() -> [Int] {
  var mask = [UInt8](repeating: 0, count: 1024)
  _ = unsafe GNU.getAffinity(0, mask.count, &mask)
  return (0..<mask.count * 8).filter { mask[$0 / 8] & 1 << UInt8($0 % 8) != 0 }
}

/// The kernel's id of the calling thread.
package func threadID() -> Int { Int(GNU.threadID()) }

/// Functions that the C library has but declares to GNU sources only.
private enum GNU {
  typealias Affinity = @convention(c) (pid_t, Int, UnsafeMutablePointer<UInt8>) -> Int32
  typealias Number = @convention(c) () -> pid_t

  static let getAffinity = unsafe unsafeBitCast(symbol("sched_getaffinity"), to: Affinity.self)
  static let setAffinity = unsafe unsafeBitCast(symbol("sched_setaffinity"), to: Affinity.self)
  static let threadID = unsafe unsafeBitCast(symbol("gettid"), to: Number.self)
  static let currentCPU = unsafe unsafeBitCast(symbol("sched_getcpu"), to: Number.self)

  private static func symbol(_ name: String) -> UnsafeMutableRawPointer {
    guard let address = unsafe dlsym(nil, name) else { fatalError("no \(name)") }
    return unsafe address
  }
}

/// Waits until a thread of this process sleeps in the kernel. False if it does not within 10 s.
package func waitUntilAsleep(threadID: Int) -> Bool {
  let deadline = SystemCall.monotonicNanoseconds + 10_000_000_000
  while SystemCall.monotonicNanoseconds < deadline {
    if isAsleep(threadID: threadID) { return true }
    sched_yield()
  }
  return false
}

/// Whether a thread of this process sleeps in the kernel now.
package func isAsleep(threadID: Int) -> Bool { threadState(threadID) == UInt8(ascii: "S") }

/// The state letter that stands behind the name in `/proc/self/task/<id>/stat`.
private func threadState(_ threadID: Int) -> UInt8? {
  guard let file = unsafe fopen("/proc/self/task/\(threadID)/stat", "r") else { return nil }
  defer { unsafe fclose(file) }
  var text = [UInt8](repeating: 0, count: 512)
  let count = unsafe fread(&text, 1, text.count, file)
  guard let end = text[..<count].lastIndex(of: UInt8(ascii: ")")), end + 2 < count else {
    return nil
  }
  return text[end + 2]
}

/// Addresses that this process has mapped, in bytes.
package func mappedBytes() -> Int {
  guard let file = unsafe fopen("/proc/self/statm", "r") else { return 0 }
  defer { unsafe fclose(file) }
  var text = [UInt8](repeating: 0, count: 128)
  let count = unsafe fread(&text, 1, text.count, file)
  return (Int(String(decoding: text[..<count].prefix { $0 != 0x20 }, as: UTF8.self)) ?? 0) * 4096
}
