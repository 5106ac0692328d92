// SPDX-License-Identifier: Apache-2.0
// Operations on the running stripe's sheaf and counters. One interface over both
// modes; the slow paths use it, the fast path calls the sequences directly (SheafWords.swift).

internal import CSlabPlatform

extension PerCPURegion {
  /// Takes one object; 0 if the sheaf is empty or closed. Patiently, as everything here.
  package func pop(_ words: Pointer<SheafWords>) -> UInt {
    switch mode {
    case .restartableSequences:
      // SAFETY: the words of a live cache; the sequence checks everything else.
      return unsafe slab_sheaf_pop_patiently(UnsafeRawPointer(bitPattern: words.address))
    case .lockedStripes:
      let stripe = runningStripe
      stripeLock(stripe).pointee.lock()
      defer { stripeLock(stripe).pointee.unlock() }
      let word = words.pointee.load(mode: .lockedStripes)
      guard !word.isClosed else { return 0 }
      let sheaf = Words(at: address(word.first, onStripe: stripe))
      let current = Int(sheaf[0]) / 8
      guard current > 0 else { return 0 }
      // Partner: the load of `objectCount`, which takes no lock.
      AtomicWord(at: sheaf.address).store(UInt64((current - 1) * 8))
      return UInt(sheaf[current])
    }
  }

  /// Puts one object.
  package func push(_ words: Pointer<SheafWords>, _ object: UInt) -> Sheaf.Push {
    switch mode {
    case .restartableSequences:
      // SAFETY: as in `pop`.
      return unsafe Sheaf.Push(
        slab_sheaf_push_patiently(UnsafeRawPointer(bitPattern: words.address), object))
    case .lockedStripes:
      let stripe = runningStripe
      stripeLock(stripe).pointee.lock()
      defer { stripeLock(stripe).pointee.unlock() }
      let word = words.pointee.load(mode: .lockedStripes)
      guard !word.isClosed else { return .full }
      let sheaf = Words(at: address(word.first, onStripe: stripe))
      let current = Int(sheaf[0]) / 8
      if current > 0, UInt(sheaf[current]) == object { return .doubleFree }
      guard current < word.capacity else { return .full }
      sheaf[current + 1] = UInt64(object)
      AtomicWord(at: sheaf.address).store(UInt64((current + 1) * 8))
      return .done
    }
  }

  /// Takes up to `objects.count` objects into the buffer; the number taken.
  package func popBatch(
    _ words: Pointer<SheafWords>, into objects: UnsafeMutableBufferPointer<UInt>
  ) -> Int {
    guard let start = objects.baseAddress, objects.count > 0 else { return 0 }
    switch mode {
    case .restartableSequences:
      // SAFETY: the sequence writes at most `count` words to the buffer.
      return unsafe Int(
        slab_sheaf_pop_batch(
          UnsafeRawPointer(bitPattern: words.address), start, objects.count))
    case .lockedStripes:
      var taken = 0
      while taken < objects.count {
        let object = pop(words)
        guard object != 0 else { break }
        // SAFETY: taken < count.
        unsafe objects[taken] = object
        taken += 1
      }
      return taken
    }
  }

  /// Puts objects of the buffer; the number put, from the start of the buffer.
  package func pushBatch(
    _ words: Pointer<SheafWords>, _ objects: UnsafeMutableBufferPointer<UInt>
  ) -> Int {
    guard let start = objects.baseAddress, objects.count > 0 else { return 0 }
    switch mode {
    case .restartableSequences:
      // SAFETY: the sequence reads at most `count` words of the buffer.
      return unsafe Int(
        slab_sheaf_push_batch(
          UnsafeRawPointer(bitPattern: words.address), start, objects.count))
    case .lockedStripes:
      var put = 0
      // SAFETY: put < count.
      while put < objects.count, unsafe push(words, objects[put]) == .done { put += 1 }
      return put
    }
  }

  /// How many objects a sheaf has on a stripe: a moment's number while the stripe is in use.
  package func objectCount(ofSheaf first: UInt, onStripe stripe: Int) -> Int {
    Int(AtomicWord(at: address(first, onStripe: stripe)).load()) / 8
  }

  /// Adds to the running stripe's copy of counter `index` (0...7) of a block.
  package func add(_ delta: Int, toCounter index: Int, of block: UInt) {
    let first = block + UInt(index) * 8
    switch mode {
    case .restartableSequences:
      slab_counter_add(first, Int64(delta))
    case .lockedStripes:
      AtomicWord(at: address(first, onStripe: runningStripe)).add(Int64(delta))
    }
  }

  /// The sum of a counter over all stripes: exact when no thread adds. Acquiring. O(stripes).
  package func sum(ofCounter index: Int, of block: UInt) -> Int {
    let first = block + UInt(index) * 8
    var sum = Int64(bitPattern: AtomicWord(at: sharedAddress(first)).load())
    for stripe in 0..<stripeCount {
      sum &+= Int64(bitPattern: AtomicWord(at: address(first, onStripe: stripe)).load())
    }
    return Int(sum)
  }

  /// A stripe that the caller ran on a moment ago: where to put something, not whose it is.
  package var recentStripe: Int {
    switch mode {
    case .restartableSequences: min(Int(slab_recent_cpu()), stripeCount - 1)
    case .lockedStripes: runningStripe
    }
  }

  /// Locked stripes: the stripe of this thread, by a hash of the thread's identity.
  var runningStripe: Int {
    let identity = UInt64(UInt(slab_thread_identity()) >> 6)
    return Int((identity &* 0x9E37_79B9_7F4A_7C15) >> 40) % stripeCount
  }
}
