// SPDX-License-Identifier: Apache-2.0
internal import SlabCore
internal import SlabPlatform

/// What copies of a group share: one handle of the core's on it, given back with the last copy. A
/// group's handle holds its parent's, so that no group loses its last handle before its children.
@usableFromInline
final class GroupHandle: Sendable {
  let core: Pointer<Group>
  let parent: GroupHandle?
  let allocator: AllocatorHandle

  /// Takes over a handle that the caller has got from the core. `parent` is `nil` for the root group,
  /// which needs none.
  init(adopting core: Pointer<Group>, parent: GroupHandle?, allocator: AllocatorHandle) {
    self.core = core
    self.parent = parent
    self.allocator = allocator
  }

  deinit {
    guard parent != nil else { return }
    allocator.ifMapped { $0.release(core) }
  }
}
