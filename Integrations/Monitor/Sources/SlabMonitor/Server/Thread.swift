// SPDX-License-Identifier: Apache-2.0
internal import Dispatch
internal import Glibc

/// A thread of the monitor's, which takes none of the program's signals.
enum MonitorThread {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Runs a body on a thread of its own; the group counts it until it is through.
  static func start(
    in group: DispatchGroup, _ body: @escaping @Sendable () -> Void
  ) throws(MonitorError) {
    var thread = pthread_t()
    group.enter()
    let argument = unsafe Unmanaged.passRetained(
      Body {
        body()
        group.leave()
      }
    ).toOpaque()
    // SAFETY: the argument is the retained body, which the thread takes over. It inherits the mask.
    let error = unsafe withUnsafeTemporaryAllocation(of: sigset_t.self, capacity: 2) { masks in
      let (all, before) = unsafe (masks.baseAddress!, masks.baseAddress! + 1)
      unsafe sigfillset(all)
      unsafe pthread_sigmask(SIG_SETMASK, all, before)
      let error = unsafe pthread_create(
        &thread, nil,
        { argument in
          unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
          return nil
        }, argument)
      unsafe pthread_sigmask(SIG_SETMASK, before, nil)
      return error
    }
    guard error == 0 else {
      unsafe Unmanaged<Body>.fromOpaque(argument).release()
      group.leave()
      throw .noThread(errno: error)
    }
    pthread_detach(thread)
  }
}
