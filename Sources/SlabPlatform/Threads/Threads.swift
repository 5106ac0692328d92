// SPDX-License-Identifier: Apache-2.0
// The running thread.

internal import CSlabPlatform

package enum Threads {
  /// Differs between threads that live at the same time; never 0. No system call.
  package static var identity: UInt { UInt(slab_thread_identity()) }

  /// Whether the running thread is in the middle of a reclaim.
  package static var isReclaiming: Bool {
    get { slab_is_reclaiming() != 0 }
    set { slab_set_reclaiming(newValue ? 1 : 0) }
  }

  /// Whether the running thread can do without what it allocates: at a limit that is refused at once.
  package static var isDispensable: Bool {
    get { slab_is_dispensable() != 0 }
    set { slab_set_dispensable(newValue ? 1 : 0) }
  }

  /// Things that the running thread has in hand, in any allocator: a fork waits for it.
  package static var thingsInHand: Int { Int(slab_things_in_hand()) }

  package static func addInHand(_ count: Int) { slab_add_in_hand(Int32(count)) }

  /// A hint to the CPU that the thread waits for another one.
  package static func pause() { slab_pause() }

  /// Lets other threads of this CPU go first.
  package static func yield() { slab_yield() }
}
