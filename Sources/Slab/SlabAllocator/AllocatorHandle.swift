// SPDX-License-Identifier: Apache-2.0
// What handles of caches and groups share about their allocator: whether it is there at all.

internal import SlabCore
internal import Synchronization

/// One for each allocator, held by every handle that leads into it.
@usableFromInline
final class AllocatorHandle: Sendable {
  let core: Allocator
  let notifier: GroupNotifier
  /// Set by `unmapEverything`: handles that end later have nothing to give back.
  private let isUnmapped = Atomic(false)

  init(_ core: Allocator) {
    self.core = core
    notifier = GroupNotifier(core)
  }

  /// Ends the allocator. Once; handles do nothing from then on.
  func unmapEverything() {
    // Relaxed: all uses of the allocator come before its end, by contract.
    notifier.stop()
    isUnmapped.store(true, ordering: .relaxed)
    core.unmapEverything()
  }

  /// For handles that end: runs the body while there is something to give back to. Whether it did.
  @discardableResult
  func ifMapped(_ body: (Allocator) -> Void) -> Bool {
    guard !isUnmapped.load(ordering: .relaxed) else { return false }
    body(core)
    return true
  }
}
