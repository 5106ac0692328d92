// SPDX-License-Identifier: Apache-2.0
// What a table is without its types: the arrays, the writers, the growth. It knows entries by their
// hash, and asks whether a key is the one that is looked for.

public import SlabCore
public import SlabPlatform
public import Synchronization

@usableFromInline @safe
struct TableCore: ~Copyable, Sendable {
  @usableFromInline let allocator: Allocator
  /// Of the cache that the entries come from.
  @usableFromInline let root: Pointer<RootCache>
  let cache: CacheHandle
  /// Where readers and writers begin: the address of the oldest array that has entries, perhaps.
  @usableFromInline let current: Atomic<UInt>
  /// Keeps the readers' line away from the writers'.
  private let padding = InlineArray<64, UInt8>(repeating: 0)
  private let linkedCount = Atomic<Int>(0)
  /// The table grows when it has more entries than this. Changed by the holder of `growing`.
  private let mostEntries: Atomic<Int>
  /// Held to make an array; no thread waits for it.
  private let growing = Lock(outsideOfTheOrder: ())

  /// Makes the cache and the first array.
  init(
    named name: String, namespace: String?, entryBytes: Int, alignment: Int,
    minimumCapacity: Int, of allocator: SlabAllocator
  ) throws(SlabError) {
    guard minimumCapacity >= 0 else { throw .invalidLimit }
    guard minimumCapacity <= BucketArray.mostBuckets else {
      throw .outOfMemory(group: nil, bytes: 0)
    }
    var bucketCount = BucketArray.fewestBuckets
    while bucketCount < minimumCapacity { bucketCount *= 2 }
    let cache = try unsafe CacheHandle(
      named: name, namespace: namespace, objectSize: entryBytes, alignment: alignment,
      options: .typeSafe,
      constructor: { unsafe TableEntry.construct($0) }, of: allocator)
    guard let array = BucketArray.make(bucketCount: bucketCount) else {
      throw .outOfMemory(group: nil, bytes: 0)
    }
    self.allocator = allocator.core
    self.cache = cache
    root = cache.root
    current = Atomic(array.address)
    mostEntries = Atomic(bucketCount)
  }

  /// Gives the arrays back. There are no readers and no writers, and no entry is linked.
  func unmapArrays() {
    var array = Optional(currentArray)
    while let ending = array {
      array = ending.future
      ending.unmap()
    }
  }

  /// In a section.
  @inlinable @inline(__always)
  var currentArray: Pointer<BucketArray> {
    // Acquiring: pairs with the releasing store in `finish`; all entries are in this array or
    // behind it.
    // SAFETY: the array belongs to the table, or to readers that a grace period protects.
    unsafe Pointer(nonzeroAddress: current.load(ordering: .acquiring))
  }

  var count: Int { linkedCount.load(ordering: .relaxed) }

  /// Before a reader starts over, `tries` times already: writers are at work.
  @usableFromInline
  func pause(after tries: Int) {
    if tries % 64 == 63 { Threads.yield() } else { Threads.pause() }
  }

  #if DEBUG
    /// Called between the steps of readers and writers: tests let others go first there. Set before
    /// the table is used.
    @usableFromInline let hook = TableHook()
  #endif

  /// A place where it matters what others do.
  @inlinable @inline(__always)
  func step(_ step: TableStep) {
    #if DEBUG
      hook(step)
    #endif
  }
}

#if DEBUG
  @usableFromInline
  final class TableHook: Sendable {
    /// It does not change while the table is in use.
    @safe nonisolated(unsafe) var body: ((TableStep) -> Void)?

    @usableFromInline
    func callAsFunction(_ step: TableStep) { body?(step) }
  }
#endif

/// Steps that tests stop before; see `TableCore.step`.
@usableFromInline @frozen
enum TableStep: CaseIterable {
  /// A reader has come to an entry, and reads its next link.
  case readerBeforeNext
  /// A reader has seen the hash that it looks for, and takes a reference.
  case readerBeforeReference
  /// A reader is at the end of a chain.
  case readerAtEnd
  /// The next link of an entry that moves leads into the future array's chain, which does not begin
  /// with it yet.
  case moverBeforeFirst
  /// All entries of a bucket have moved, and the bucket does not say so.
  case moverBeforeEnd
  /// The new entry of a key is there, the old one still is.
  case replacerBeforeUnlinking
}

// MARK: - Writers

extension TableCore {
  /// A bucket whose lock is held and that has all the linked entries of its hashes.
  struct LockedBucket {
    let array: Pointer<BucketArray>
    let index: Int
    var bucket: Pointer<Bucket> { array[index] }
    var first: UInt { array.first(of: index) }

    func unlock() { bucket.pointee.lock.unlock() }
  }

  /// In a section: locks the bucket of a hash. Moves it before if its array has a future.
  func lockBucket(of hash: Int) -> LockedBucket {
    var array = currentArray
    while true {
      let locked = LockedBucket(array: array, index: array.index(of: hash))
      locked.bucket.pointee.lock.lock()
      guard let future = array.future else { return locked }
      let moves = !locked.bucket.isMoved
      if moves { move(locked, to: future) }
      locked.unlock()
      if moves { finish(array, moved: 1) }
      array = future
    }
  }

  /// Links an entry, filled in but for its words, for the key that `isKey` knows. Returns the
  /// linked entry that the key has already. Unless that one is to be replaced, nothing is changed
  /// then; else it is unlinked, and its reference is the caller's.
  func link(
    _ entry: Pointer<TableEntry>, hash: Int, replacing: Bool,
    isKey: (Pointer<TableEntry>) -> Bool
  ) -> Pointer<TableEntry>? {
    invariant(entry.pointee.count.load(ordering: .relaxed) == 0, "table: a free entry has a count")
    let section = allocator.beginReading()
    defer { allocator.endReading(section) }
    let locked = lockBucket(of: hash)
    let found = find(hash, in: locked, where: isKey)
    guard found == nil || replacing else {
      locked.unlock()
      return found?.entry
    }
    // Relaxed: the link to it is stored after it, releasing.
    entry.pointee.hash.store(hash, ordering: .relaxed)
    entry.next = locked.first
    // Releasing: pairs with the acquiring exchange in `takeReference`. From here on readers of the
    // object's last life may take a reference: they see the new hash.
    entry.pointee.count.store(1, ordering: .releasing)
    locked.bucket.setFirst(entry.address)
    guard let found else {
      let count = linkedCount.add(1, ordering: .relaxed).newValue
      locked.unlock()
      moveSome()
      if count > mostEntries.load(ordering: .relaxed) { grow() }
      return nil
    }
    step(.replacerBeforeUnlinking)
    // A reader that is past the new entry and will not find the old one must look again.
    locked.bucket.addToVersion(Bucket.oneVersion)
    unlink(found.entry, after: found.before ?? entry, in: locked)
    locked.unlock()
    return found.entry
  }

  /// Unlinks the entry that `isWanted` knows: its reference is the caller's.
  func unlink(hash: Int, where isWanted: (Pointer<TableEntry>) -> Bool) -> Pointer<TableEntry>? {
    let section = allocator.beginReading()
    defer { allocator.endReading(section) }
    let locked = lockBucket(of: hash)
    defer { locked.unlock() }
    guard let found = find(hash, in: locked, where: isWanted) else { return nil }
    unlink(found.entry, after: found.before, in: locked)
    linkedCount.subtract(1, ordering: .relaxed)
    return found.entry
  }

  /// Its own next link stays: readers that are at it find the way from there.
  private func unlink(
    _ entry: Pointer<TableEntry>, after before: Pointer<TableEntry>?, in locked: LockedBucket
  ) {
    if let before { before.next = entry.next } else { locked.bucket.setFirst(entry.next) }
  }

  private func find(
    _ hash: Int, in locked: LockedBucket, where isWanted: (Pointer<TableEntry>) -> Bool
  ) -> (entry: Pointer<TableEntry>, before: Pointer<TableEntry>?)? {
    var before: Pointer<TableEntry>?
    var link = locked.first
    while !BucketArray.isEnd(link) {
      // SAFETY: a link is an entry's address, which lives until a grace period after it is taken out.
      let entry = unsafe Pointer<TableEntry>(nonzeroAddress: link)
      if entry.pointee.hash.load(ordering: .relaxed) == hash, isWanted(entry) {
        return (entry, before)
      }
      before = entry
      link = entry.next
    }
    return nil
  }
}

// MARK: - Growth

extension TableCore {
  /// Buckets that a writer moves beside its own: enough that the future array is not too small by
  /// the time at which it is the current one.
  private static var bucketsPerMove: Int { 4 }

  /// In a section, holding no lock: gives the current array a future, unless it has one or another
  /// thread is about to. Without memory the chains become longer, until it is tried again.
  private func grow() {
    guard growing.tryLock() else { return }
    defer { growing.unlock() }
    let array = currentArray
    let count = count
    guard array.future == nil, count > mostEntries.load(ordering: .relaxed) else { return }
    let bucketCount = 2 * array.bucketCount
    guard bucketCount <= BucketArray.mostBuckets,
      let future = BucketArray.make(bucketCount: bucketCount)
    else {
      mostEntries.store(count + array.bucketCount / 4, ordering: .relaxed)
      return
    }
    mostEntries.store(bucketCount, ordering: .relaxed)
    // Releasing: pairs with the acquiring load in `future`.
    array.pointee.future.store(future.address, ordering: .releasing)
  }

  /// In a section, holding no lock: moves a few buckets of the current array if it has a future.
  private func moveSome() {
    let array = currentArray
    guard let future = array.future,
      array.pointee.nextToMove.load(ordering: .relaxed) < array.bucketCount
    else { return }
    // Relaxed: it only shares out the work; the buckets' locks guard the rest.
    let first = array.pointee.nextToMove.add(Self.bucketsPerMove, ordering: .relaxed).oldValue
    var moved = 0
    for index in first..<max(first, min(first + Self.bucketsPerMove, array.bucketCount)) {
      let locked = LockedBucket(array: array, index: index)
      locked.bucket.pointee.lock.lock()
      if !locked.bucket.isMoved {
        move(locked, to: future)
        moved += 1
      }
      locked.unlock()
    }
    if moved > 0 { finish(array, moved: moved) }
  }

  /// Moves a bucket that has not been moved; its lock is held. No other thread links anything in the
  /// two buckets that its entries move to, whose locks are not taken.
  ///
  /// From the last entry to the first, so that a reader that a moved entry leads into the future
  /// array has seen all entries before it, and finds those behind it there. In pieces, since the
  /// chain leads in one direction only: O(length), for extreme ones O(length² / 32).
  private func move(_ locked: LockedBucket, to future: Pointer<BucketArray>) {
    var piece = InlineArray<16, UInt>(repeating: 0)
    var end = locked.array.end(of: locked.index)
    while true {
      var length = 0
      var link = locked.first
      while link != end {
        piece[length & 15] = link
        length += 1
        // SAFETY: a link is an entry's address, which lives until a grace period after it is taken out.
        link = unsafe Pointer<TableEntry>(nonzeroAddress: link).next
      }
      guard length > 0 else { break }
      for position in (max(0, length - 16)..<length).reversed() {
        end = piece[position & 15]
        // SAFETY: a link is an entry's address, which lives until a grace period after it is taken out.
        let entry = unsafe Pointer<TableEntry>(nonzeroAddress: end)
        let index = future.index(of: entry.pointee.hash.load(ordering: .relaxed))
        entry.next = future.first(of: index)
        step(.moverBeforeFirst)
        future[index].setFirst(entry.address)
      }
      if end == locked.first { break }
    }
    step(.moverBeforeEnd)
    locked.bucket.setFirst(locked.array.end(of: locked.index))
    locked.bucket.addToVersion(Bucket.isMoved)
  }

  /// In a section: when the last bucket of an array has been moved, its future is the current
  /// array, and it goes when its readers have gone.
  private func finish(_ array: Pointer<BucketArray>, moved: Int) {
    // Releasing, and acquiring for the last: what all movers did comes before the new array is
    // current.
    let all = array.pointee.movedCount.add(moved, ordering: .acquiringAndReleasing).newValue
    guard all == array.bucketCount, let future = array.future else { return }
    // Releasing: pairs with the acquiring load in `currentArray`.
    current.store(future.address, ordering: .releasing)
    array.unmapAfterGracePeriod(of: allocator)
  }
}

// MARK: - All entries

extension TableCore {
  /// Calls a body with all the entries of the table, some at a time, holding no lock and in no
  /// section. With each comes a reference, the body's to give back; with `unlinking` it is the
  /// table's.
  ///
  /// An entry that is linked all the while comes exactly once: it is found by its hash, not by its
  /// place, and what is linked with a hash is looked at once, under a lock.
  func forEachEntry<Failure: Error>(
    unlinking: Bool = false, _ body: ([Pointer<TableEntry>]) throws(Failure) -> Void
  ) throws(Failure) {
    var entries: [Pointer<TableEntry>] = []
    let section = allocator.beginReading()
    let bucketCount = currentArray.bucketCount
    allocator.endReading(section)
    for residue in 0..<bucketCount {
      collect(residue, modulus: bucketCount, unlinking: unlinking, into: &entries)
      if entries.isEmpty { continue }
      try body(entries)
      entries.removeAll(keepingCapacity: true)
    }
  }

  /// The entries whose hash has a residue, modulo a number of buckets that an array has, had or
  /// will have.
  private func collect(
    _ residue: Int, modulus: Int, unlinking: Bool, into entries: inout [Pointer<TableEntry>]
  ) {
    let section = allocator.beginReading()
    var array = currentArray
    while array.bucketCount < modulus, let future = array.future { array = future }
    if array.bucketCount == modulus {
      let locked = LockedBucket(array: array, index: residue)
      locked.bucket.pointee.lock.lock()
      if !locked.bucket.isMoved {
        collect(locked, unlinking: unlinking, into: &entries)
        locked.unlock()
        allocator.endReading(section)
        return
      }
      locked.unlock()
    }
    allocator.endReading(section)
    // They are in two buckets of an array twice as large, or in more of a larger one.
    for residue in [residue, residue + modulus] {
      collect(residue, modulus: 2 * modulus, unlinking: unlinking, into: &entries)
    }
  }

  private func collect(
    _ locked: LockedBucket, unlinking: Bool, into entries: inout [Pointer<TableEntry>]
  ) {
    let before = entries.count
    var link = locked.first
    while !BucketArray.isEnd(link) {
      // SAFETY: a link is an entry's address, which lives until a grace period after it is taken out.
      let entry = unsafe Pointer<TableEntry>(nonzeroAddress: link)
      if !unlinking { entry.addReference() }
      entries.append(entry)
      link = entry.next
    }
    guard unlinking, entries.count > before else { return }
    locked.bucket.setFirst(locked.array.end(of: locked.index))
    linkedCount.subtract(entries.count - before, ordering: .relaxed)
  }
}
