// SPDX-License-Identifier: Apache-2.0
// Ways to wait for what others do: for the event itself, and with a bound.

import Dispatch
import Synchronization

/// Whether something becomes true within 20 s. The task gives way in between.
func eventually(_ condition: () -> Bool) async -> Bool {
  let deadline = DispatchTime.now() + .seconds(20)
  while !condition() {
    if DispatchTime.now() > deadline { return condition() }
    await Task.yield()
  }
  return true
}

/// Set once, from anywhere.
final class Flag: Sendable {
  private let value = Atomic(false)

  // Releasing and acquiring: what was done before it was set is seen by a thread that sees it set.
  func set() { value.store(true, ordering: .releasing) }
  var isSet: Bool { value.load(ordering: .acquiring) }
}

/// Closed until it is opened.
actor Gate {
  private var isOpen = false
  private var waiting: [CheckedContinuation<Void, Never>] = []

  func wait() async {
    if isOpen { return }
    await withCheckedContinuation { waiting.append($0) }
  }

  func open() {
    isOpen = true
    for continuation in waiting { continuation.resume() }
    waiting = []
  }
}
