// SPDX-License-Identifier: Apache-2.0
// Shrinkers: a holder of objects that could be made again gives some back when a group is short of
// memory (the kernel's mm/shrinker.c). One is registered for one group.
//
// No lock is held while its functions run: they free objects, and take locks of the user's. What keeps it meanwhile
// is `users`. The thread that unregisters it waits for them, and ends it; but a thread that is in some shrinker's
// functions itself does not wait: it abandons the shrinker, and the last of its users ends it. Either way the
// shrinker is not asked any more. The walk over a group's shrinkers is by a cursor, which fork waits for; so a child
// of fork has no user of a shrinker.

package import SlabPlatform
internal import Synchronization

@safe
package struct Shrinker: ~Copyable {
  /// First: a node's address is its shrinker's. In the group's list, under the registry lock.
  var node = ListNode()
  let group: Pointer<Group>
  let configuration: ShrinkerConfiguration
  /// Work that was due and not done, in objects.
  let deferred = Atomic<Int>(0)
  /// Threads that are in its functions. Raised, and lowered to 0, under the registry lock.
  let users = Atomic<Int>(0)
  /// Under the registry lock: unregistered, and its last user is to end it.
  var isAbandoned = false

  /// More objects than any heap has, and few enough that sums and products of them do not overflow:
  /// whatever a shrinker says it has, it counts as no more.
  static var mostFreeable: Int { 1 << 40 }

  init(group: Pointer<Group>, configuration: ShrinkerConfiguration) {
    self.group = group
    self.configuration = configuration
  }
}

/// How a shrinker is asked.
@safe
package struct ShrinkerConfiguration: Sendable {
  /// How many objects could be freed now; 0 if none.
  package typealias Count = @convention(c) (UnsafeMutableRawPointer) -> Int
  /// Frees up to so many objects; how many it did, or less than 0 to stop.
  package typealias Scan = @convention(c) (UnsafeMutableRawPointer, Int) -> Int
  /// Ends the context: the shrinker is not asked any more.
  package typealias End = @convention(c) (UnsafeMutableRawPointer) -> Void

  let count: Count
  let scan: Scan
  let end: End
  /// Passed to all three.
  let context: UInt
  /// How dear an object is to be made again; 0 for nothing.
  let seeks: Int
  /// Objects that are asked for at a time, 1 at least.
  let batch: Int

  package init(
    count: @escaping Count, scan: @escaping Scan, end: @escaping End,
    context: UnsafeMutableRawPointer, seeks: Int, batch: Int
  ) {
    unsafe self.count = count
    unsafe self.scan = scan
    unsafe self.end = end
    self.context = UInt(bitPattern: context)
    self.seeks = seeks
    self.batch = batch
  }

  fileprivate var pointer: UnsafeMutableRawPointer {
    // SAFETY: made from a pointer.
    unsafe UnsafeMutableRawPointer(bitPattern: context).unsafelyUnwrapped
  }
}

extension Pointer where Pointee: HasEndings & ~Copyable {
  /// Registers a shrinker for a group, on which it takes a handle. O(1); takes the registry lock. If it
  /// throws, the context is still the caller's.
  ///
  /// - Throws: `.invalidLimit` for a number below its least, `.groupOffline`, `.outOfMemory`.
  package func registerShrinker(
    _ configuration: ShrinkerConfiguration, for group: Pointer<Group>
  ) throws(AllocatorError) -> Pointer<Shrinker> {
    guard configuration.seeks >= 0, configuration.batch >= 1 else { throw .invalidLimit }
    // SAFETY: the object is ours, of the cache of these descriptors.
    let shrinker = unsafe Pointer<Shrinker>(
      address: try allocateInternal(bytes: MemoryLayout<Shrinker>.size))!
    // SAFETY: the object is ours and large enough.
    unsafe shrinker.unsafePointer.initialize(
      to: Shrinker(group: group, configuration: configuration))
    let registry = lockRegistry()
    let isOnline = group.isOnline
    if isOnline {
      retain(group)
      group.shrinkers.insertBefore(shrinker.node)
      group.listReclaimable(under: registry)
      group.forgetFruitlessReclaims()
    }
    registry.unlock()
    guard isOnline else {
      freeInternal(shrinker.address)
      throw .groupOffline
    }
    return shrinker
  }

  /// Ends a shrinker: it is not asked any more, and no thread is in its functions afterwards. Waits for the threads
  /// that are; but inside a shrinker's functions, its own or another's, it does not wait: then the threads that are
  /// in its functions come to their end, and the last of them ends the context.
  package func unregisterShrinker(_ shrinker: Pointer<Shrinker>) {
    let registry = lockRegistry()
    shrinker.node.unlink()
    if Threads.isReclaiming, shrinker.pointee.users.load(ordering: .relaxed) > 0 {
      shrinker.pointee.isAbandoned = true
      return
    }
    registry.unlock()
    while true {
      let ticket = groupsState.pointee.shrinkerIsIdle.prepare()
      // Acquiring: pairs with the decrement of the threads that are done.
      if shrinker.pointee.users.load(ordering: .sequentiallyConsistent) == 0 { break }
      groupsState.pointee.shrinkerIsIdle.wait(ticket)
    }
    groupsState.pointee.shrinkerIsIdle.cancel()
    end(shrinker)
  }

  /// Of a shrinker that is on no list and has no user.
  fileprivate func end(_ shrinker: Pointer<Shrinker>) {
    let configuration = shrinker.pointee.configuration
    let group = shrinker.pointee.group
    freeInternal(shrinker.address)
    unsafe configuration.end(configuration.pointer)
    release(group)
  }
}

extension Pointer where Pointee == Shrinker {
  // SAFETY: the one is the first field of the other.
  var node: Pointer<ListNode> { unsafe Pointer<ListNode>(address: address)! }

  /// `do_shrink_slab`: asks for the objects that are due at a priority, 12 for the least pressure and 0
  /// for all, and for what was not done before. The number of objects that it has.
  func shrink(priority: Int) -> Int {
    pointee.group.pointee.allocator.expectNoLock(below: .inHand, "a shrinker")
    let configuration = pointee.configuration
    let freeable = Swift.min(
      unsafe configuration.count(configuration.pointer), Shrinker.mostFreeable)
    guard freeable > 0 else { return 0 }
    let before = pointee.deferred.exchange(0, ordering: .relaxed)
    let due =
      configuration.seeks == 0
      ? freeable / 2 : (freeable >> priority) * 4 / configuration.seeks
    var total = Swift.min((before >> priority) + due, 2 * freeable)
    var scanned = 0
    while total >= configuration.batch || total >= freeable {
      let asked = Swift.min(configuration.batch, total)
      if unsafe configuration.scan(configuration.pointer, asked) < 0 { break }
      total -= asked
      scanned += asked
    }
    let left = Swift.min(Swift.max(before + due - scanned, 0), 2 * freeable)
    if left > 0 { pointee.deferred.add(left, ordering: .relaxed) }
    return freeable
  }
}

extension Pointer where Pointee == Group {
  /// Asks each of the group's own shrinkers. Takes the registry lock between them. The objects that they
  /// have in all.
  func askShrinkers(priority: Int) -> Int {
    let allocator = pointee.allocator
    var freeable = 0
    var registry = allocator.lockRegistry()
    // The cursor stands on this thread's stack.
    allocator.takeInHand(under: registry)
    withCursor(in: shrinkers, under: &registry) { cursor, registry in
      while let node = cursor.advance(in: shrinkers) {
        // SAFETY: the one is the first field of the other.
        let shrinker = unsafe Pointer<Shrinker>(address: node.address)!
        shrinker.pointee.users.add(1, ordering: .relaxed)
        registry.letGo { freeable += shrinker.shrink(priority: priority) }
        // Before the count falls: then the thread that waits for that may end it.
        let isAbandoned = shrinker.pointee.isAbandoned
        let left = shrinker.pointee.users.subtract(1, ordering: .sequentiallyConsistent).newValue
        guard left == 0 else { continue }
        if isAbandoned {
          registry.letGo { Pointer<EndingsState>(seenAs: allocator).end(shrinker) }
        } else {
          allocator.groupsState.pointee.shrinkerIsIdle.signal()
        }
      }
    }
    allocator.putDown()
    return freeable
  }
}
