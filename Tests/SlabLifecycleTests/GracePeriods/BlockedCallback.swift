// SPDX-License-Identifier: Apache-2.0
import SlabPlatform
import SlabTestSupport
import Synchronization

@testable import SlabCore

/// Callbacks that say that they have begun and that they ran, and may block in between.
final class BlockedCallback: Sendable {
  private let isOpen = Atomic<Bool>(false)
  private let begun = Atomic<Int>(0)
  private let ran = Atomic<Int>(0)

  var hasBegun: Bool { begun.load(ordering: .acquiring) > 0 }
  /// How many have run.
  var count: Int { ran.load(ordering: .acquiring) }

  func open() { isOpen.store(true, ordering: .releasing) }

  /// Puts a callback into a queue; the object that it stands in is freed by it.
  func call(
    in queue: Int, blocks: Bool, of allocator: Allocator, _ root: Pointer<RootCache>
  ) throws {
    let object = try allocator.allocate(from: root, in: nil)
    let words = Words(at: object)
    words[2] = UInt64(allocator.address)
    // SAFETY: the tests wait for the callbacks before this goes.
    words[3] = unsafe UInt64(UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque()))
    words[4] = blocks ? 1 : 0
    let head = unsafe Pointer<GracePeriodCallback>(nonzeroAddress: object)
    unsafe head.unsafePointer.initialize(to: GracePeriodCallback())
    unsafe head.pointee.function = { head in
      let words = Words(at: UInt(bitPattern: head))
      let blocked = unsafe Unmanaged<BlockedCallback>.fromOpaque(
        UnsafeRawPointer(bitPattern: UInt(words[3]))!
      ).takeUnretainedValue()
      blocked.begun.add(1, ordering: .releasing)
      while words[4] == 1, !blocked.isOpen.load(ordering: .acquiring) { Threads.yield() }
      blocked.ran.add(1, ordering: .releasing)
      unsafe Allocator(nonzeroAddress: UInt(words[2])).free(UInt(bitPattern: head))
    }
    _ = allocator.callbackQueue(queue).push(head)
    allocator.kickCallbackWorker(isHurried: true)
  }
}
