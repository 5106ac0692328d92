// SPDX-License-Identifier: Apache-2.0
// A cache of results for each tenant that stays under its group's limit by itself: it registers as a
// shrinker, and gives the results back that were used least recently.
//
// The rule of a shrinker: it is asked in the middle of an allocation in its group, so its lock is
// never held while something is allocated there. What is allocated under the lock is the root group's,
// which has no limit and asks nobody.

import Slab
import Synchronization

final class ResultCache: Shrinker {
  private let results = Mutex(Results())
  private let cache: SlabCache<CachedResult>
  private let group: MemoryGroup
  private let registration = Mutex<ShrinkerRegistration?>(nil)

  init(named name: String, limitBytes: Int, from cache: SlabCache<CachedResult>) throws(SlabError) {
    self.cache = cache
    group = try MemoryGroup.root.makeChild(named: name, max: limitBytes)
    let registered = try group.register(self)
    registration.withLock { $0 = registered }
  }

  var count: Int { results.withLock { $0.count } }
  var usedBytes: Int { group.usage }

  /// The first byte of a result, made if it is not there.
  func value(forKey key: Int, _ make: (Int) -> UInt8) throws(SlabError) -> UInt8 {
    if let found = results.withLock({ $0.use(key) }) { return found }
    let byte = make(key)
    // Without the lock: this may ask us for memory.
    var made: Slot<CachedResult>? = try cache.allocate(
      CachedResult(key: key, bytes: [1024 of UInt8](repeating: byte)), in: group)
    results.withLock { $0.insert(made.take()!) }
    return byte
  }

  // MARK: - Shrinker

  func countObjects() -> Int { count }

  func scanObjects(_ count: Int) -> Int? {
    results.withLock { results in
      var freed = 0
      while freed < count, results.removeOldest() { freed += 1 }
      return freed
    }
  }
}

@main
enum ResultLoad {
  static func main() async throws {
    let cache = try SlabCache<CachedResult>(named: "result")
    let tenants = try (1...3).map {
      try ResultCache(named: "tenant-\($0)", limitBytes: $0 << 20, from: cache)
    }
    let made = try await ask(tenants, tasks: 4, questions: 25_000)
    print("100000 questions, \(made) results made")
    for tenant in tenants { print("\(tenant.count) results in \(tenant.usedBytes) bytes") }
  }

  /// Questions of many tasks; how many results had to be made.
  static func ask(_ tenants: [ResultCache], tasks: Int, questions: Int) async throws -> Int {
    try await withThrowingTaskGroup(of: Int.self) { group in
      for task in 0..<tasks {
        group.addTask {
          var made = 0
          for round in 0..<questions {
            // Some keys are asked for again and again.
            let key = round % 7 == 0 ? round * tasks + task : round % 500
            let value = try tenants[round % tenants.count].value(forKey: key) { key in
              made += 1
              return UInt8(truncatingIfNeeded: key)
            }
            precondition(value == UInt8(truncatingIfNeeded: key), "another key's result")
          }
          return made
        }
      }
      return try await group.reduce(0, +)
    }
  }
}
