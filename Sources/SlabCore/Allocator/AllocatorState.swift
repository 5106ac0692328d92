// SPDX-License-Identifier: Apache-2.0
// Everything that one allocator has. It stands at the start of the heap that it manages, with the
// descriptors of the core's own caches behind it. Each room's state is the beginning of the next one's: see
// BaseState.swift.

public import SlabPlatform

@usableFromInline
package struct AllocatorState: ~Copyable, HasLinux410 {
  let linux410: Linux410State
  /// The next allocator of this process, for the fork handlers; under their lock.
  var nextAllocator: Pointer<AllocatorState>? = nil

  init(linux410: consuming Linux410State) { self.linux410 = linux410 }
}

/// A handle on an allocator: one word, copied freely; it keeps nothing alive.
@usableFromInline
package typealias Allocator = Pointer<AllocatorState>
