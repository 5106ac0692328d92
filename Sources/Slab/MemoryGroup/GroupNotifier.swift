// SPDX-License-Identifier: Apache-2.0
// From the core's changed groups to the tasks that await a change. A thread that allocates never does more
// than count and, once until the change is looked at, put the group on a list: everything else happens
// on the notifier's thread, which is started with the first watcher and sleeps while nothing changes. Where
// the system gives no thread, a task does it, which looks every 10 ms and tries to start the thread.
//
// In a child of fork there is neither that thread nor a task that could await: no task is told of anything,
// and nothing here is touched, since the lock may have been another thread's.

internal import Glibc
internal import SlabCore
internal import SlabPlatform
internal import Synchronization

/// One for each allocator.
final class GroupNotifier: Sendable {
  /// What is told of a change.
  enum Watcher {
    case stream(AsyncStream<Void>.Continuation)
    case task(TaskUnderLimit)

    fileprivate func tell() {
      switch self {
      case .stream(let continuation): continuation.yield()
      case .task(let task): task.look()
      }
    }

    fileprivate func finish() {
      switch self {
      case .stream(let continuation): continuation.finish()
      case .task(let task): task.end()
      }
    }
  }

  private struct State {
    /// By group and by number.
    var watchers: [UInt: [Int: Watcher]] = [:]
    var lastNumber = 0
    var isRunning = false
    /// Instead of a thread.
    var isTask = false
    var isStopping = false
  }

  private let core: Allocator
  private let process = getpid()
  private let state = Mutex(State())
  /// Held by the task while it is at work: `stop` need not wait for its next turn.
  private let turn = Mutex(())
  /// Signalled when the thread has ended.
  private let ended = EventCount()

  init(_ core: Allocator) { self.core = core }

  /// A stream with an element for each time that something about the group changed since the last one
  /// was taken: a counter of events, or that it was drained. It holds the group.
  func changes(of group: GroupHandle) -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream.makeStream(
      of: Void.self, bufferingPolicy: .bufferingNewest(1))
    guard !isInChild else {
      continuation.finish()
      return stream
    }
    let number = watch(group, .stream(continuation))
    continuation.onTermination = { [self] _ in unwatch(group, number) }
    return stream
  }

  /// From now on tells a watcher of each change of a group. The number is for `unwatch`.
  func watch(_ group: GroupHandle, _ watcher: Watcher) -> Int {
    guard !isInChild else { return 0 }
    core.watch(group.core)
    return state.withLock { state in
      state.lastNumber += 1
      state.watchers[group.core.address, default: [:]][state.lastNumber] = watcher
      if !state.isRunning {
        state.isRunning = true
        state.isTask = !start()
        if state.isTask { Task.detached { [self] in await runAsTask() } }
      }
      return state.lastNumber
    }
  }

  private var isInChild: Bool { getpid() != process }

  /// A watcher that is being told at this moment may hear of it afterwards.
  func unwatch(_ group: GroupHandle, _ number: Int) {
    guard !isInChild else { return }
    let isThere = state.withLock { state in
      let address = group.core.address
      let watcher = state.watchers[address]?.removeValue(forKey: number)
      if state.watchers[address]?.isEmpty == true { state.watchers[address] = nil }
      return watcher != nil
    }
    if isThere { group.allocator.ifMapped { $0.unwatch(group.core) } }
  }

  /// Under the lock. False where the system gives no thread.
  private func start() -> Bool {
    let notifier = unsafe Unmanaged.passRetained(self)
    let isStarted = unsafe core.startThread(
      { argument in
        // SAFETY: the reference that `start` has retained for this thread.
        unsafe Unmanaged<GroupNotifier>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, argument: UInt(bitPattern: notifier.toOpaque()))
    if !isStarted { unsafe notifier.release() }
    return isStarted
  }

  private func run() {
    while !state.withLock({ $0.isStopping }) {
      if let group = core.takeChangedGroup() { tell(group) }
    }
    state.withLock { $0.isRunning = false }
    ended.signal()
  }

  private func runAsTask() async {
    while state.withLock({ $0.isTask }) {
      turn.withLock { _ in
        // Before anything of an allocator that has ended is looked at.
        guard !state.withLock({ $0.isStopping }) else { return }
        while let group = core.takeChangedGroupAtOnce() { tell(group) }
        state.withLock { if !$0.isStopping { $0.isTask = !start() } }
      }
      try? await Task.sleep(for: .milliseconds(10))
    }
  }

  private func tell(_ group: Pointer<Group>) {
    let watchers = state.withLock { $0.watchers[group.address]?.values.map { $0 } ?? [] }
    for watcher in watchers { watcher.tell() }
    core.putBackChangedGroup(group)
  }

  /// Ends the thread and every stream, before the allocator ends. Waits for the thread.
  func stop() {
    guard !isInChild else { return }
    let watchers = state.withLock { state in
      state.isStopping = true
      if state.isTask {
        state.isTask = false
        state.isRunning = false
      }
      return state.watchers.values.flatMap { $0.values }
    }
    turn.withLock { _ in }
    while true {
      let ticket = ended.prepare()
      guard state.withLock({ $0.isRunning }) else {
        ended.cancel()
        break
      }
      core.wakeForChanges()
      ended.wait(ticket, nanoseconds: 1_000_000)
    }
    for watcher in watchers { watcher.finish() }
  }
}
