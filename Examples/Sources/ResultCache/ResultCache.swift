// A cache of results for each tenant that stays under its group's limit by itself: it registers as a
// shrinker, and gives the results back that were used least recently.
//
// Rules of a shrinker: it is asked in the middle of an allocation in its group. So the lock of the cache
// is never held while something is allocated, and whoever is asked takes it only if it is free.

import Slab
import Synchronization

final class ResultCache: Shrinker {
  struct Result: ~Copyable {
    let key: Int
    var used: UInt64
    let bytes: [1024 of UInt8]
  }

  /// By key; values in slabs, which are the group's.
  private let results = Mutex<Results>(Results())
  private let cache: SlabCache<Result>
  private let group: MemoryGroup
  private let registration = Mutex<ShrinkerRegistration?>(nil)

  private struct Results: ~Copyable {
    var slots = SlabArray<Slot<Result>>(in: .root)
    var places: [Int: Int] = [:]
    var clock: UInt64 = 0
  }

  init(named name: String, limitBytes: Int, from cache: SlabCache<Result>) throws(SlabError) {
    self.cache = cache
    group = try MemoryGroup.root.makeChild(named: name, max: limitBytes)
    let registered = try group.register(self)
    registration.withLock { $0 = registered }
  }

  var count: Int { results.withLock { $0.slots.count } }
  var usedBytes: Int { group.current }

  /// The first byte of a result, made if it is not there.
  func value(forKey key: Int, _ make: (Int) -> UInt8) throws(SlabError) -> UInt8 {
    if let found = lookUp(key) { return found }
    let byte = make(key)
    // Without the lock: this may ask us for memory.
    let slot = try cache.allocate(
      Result(key: key, used: 0, bytes: [1024 of UInt8](repeating: byte)), in: group)
    insert(slot)
    return byte
  }

  private func lookUp(_ key: Int) -> UInt8? {
    results.withLock { results in
      guard let place = results.places[key] else { return nil }
      results.clock += 1
      results.slots[place].value.used = results.clock
      return results.slots[place].value.bytes[0]
    }
  }

  private func insert(_ slot: consuming Slot<Result>) {
    var slot: Slot<Result>? = slot
    results.withLock { results in
      var new = slot.take()!
      results.clock += 1
      new.value.used = results.clock
      let key = new.value.key
      // Another thread has made it meanwhile; or there is no memory for the array: then it is made again.
      guard results.places[key] == nil, results.slots.appendIfPossible(new) == nil else { return }
      results.places[key] = results.slots.count - 1
    }
  }

  // MARK: - Shrinker

  func countObjects() -> Int { results.withLockIfAvailable { $0.slots.count } ?? 0 }

  func scanObjects(_ count: Int) -> Int? {
    results.withLockIfAvailable { results in
      let ages = results.slots.indices.map { results.slots[$0].value.used }.sorted()
      guard !ages.isEmpty else { return 0 }
      let youngest = ages[min(count, ages.count) - 1]
      var freed = 0
      for place in results.slots.indices.reversed()
      where results.slots[place].value.used <= youngest {
        let last = results.slots.count - 1
        results.places[results.slots[place].value.key] = nil
        results.slots.swapAt(place, last)
        if place != last { results.places[results.slots[place].value.key] = place }
        _ = results.slots.popLast()
        freed += 1
      }
      return freed
    }
  }
}

@main
enum Main {
  static func main() throws {
    let cache = try SlabCache<ResultCache.Result>(named: "result")
    let tenants = try (1...3).map {
      try ResultCache(named: "tenant-\($0)", limitBytes: $0 << 20, from: cache)
    }
    var made = 0
    for round in 0..<100_000 {
      let tenant = tenants[round % 3]
      // Some keys are asked for again and again.
      let key = round % 7 == 0 ? round : round % 500
      _ = try tenant.value(forKey: key) { key in
        made += 1
        return UInt8(truncatingIfNeeded: key)
      }
    }
    print("100000 questions, \(made) results made")
    for tenant in tenants { print("\(tenant.count) results in \(tenant.usedBytes) bytes") }
  }
}
