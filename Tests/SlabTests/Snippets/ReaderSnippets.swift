// SPDX-License-Identifier: Apache-2.0
// The code of the article about readers: see SnippetTests.

import Slab
import SlabTestSupport
import Synchronization
import Testing

struct User: ~Copyable {
  let number: Int
}

// snippet
final class Settings: Sendable {
  struct Version: ~Copyable, Sendable {
    let limit: Int
    let names: [String]
  }

  private let versions: SlabCache<Version>
  /// The address of the version that holds.
  private let current: Atomic<UInt>

  init(_ first: consuming Version) throws(SlabError) {
    versions = try SlabCache(named: "settings")
    current = Atomic(UInt(bitPattern: unsafe try versions.allocate(first, in: .root).leak()))
  }

  private func pointer(_ address: UInt) -> UnsafeMutablePointer<Version> {
    // SAFETY: never 0: the address of a version that was leaked.
    unsafe UnsafeMutablePointer(bitPattern: address).unsafelyUnwrapped
  }

  /// Reads: without a lock, whatever writers do.
  func withCurrent<Result>(_ body: (borrowing Version) -> Result) -> Result {
    RCU.read {
      // Acquiring: pairs with the exchange in `replace`, so that the version is seen whole.
      let address = current.load(ordering: .acquiring)
      // SAFETY: it was published when this section was open, so it is freed only after its end.
      return unsafe body(pointer(address).pointee)
    }
  }

  /// Publishes a new version, and frees the old one when nobody reads it any more.
  func replace(with version: consuming Version) throws(SlabError) {
    let new = UInt(bitPattern: unsafe try versions.allocate(version, in: .root).leak())
    let old = current.exchange(new, ordering: .acquiringAndReleasing)
    // SAFETY: it was leaked, and the thread that exchanges it owns it; readers may still look at it.
    unsafe versions.adopt(pointer(old)).freeAfterGracePeriod()
  }

  deinit {
    // SAFETY: nobody reads: readers hold this object.
    _ = unsafe versions.adopt(pointer(current.load(ordering: .acquiring)))
  }
}
// end

extension Snippets {
  @Suite struct ReaderSnippets {
    @Test func table() throws {
      let tenant = try MemoryGroup.root.makeChild(named: "guide-1")
      // snippet
      let users = try SlabTable<String, User>(named: "users")
      try users.insert(User(number: 7), forKey: "token", in: tenant)
      let number = users.withValue(forKey: "token") { $0.number }
      try users.updateValue(User(number: 8), forKey: "token", in: tenant)
      users.remove(forKey: "token")
      // end
      #expect(number == 7 && users.isEmpty)
      try tenant.close()
    }

    @Test func settings() throws {
      // snippet
      let settings = try Settings(Settings.Version(limit: 10, names: ["a"]))
      let limit = settings.withCurrent { $0.limit }
      try settings.replace(with: Settings.Version(limit: 20, names: ["a", "b"]))
      // end
      #expect(limit == 10)
      #expect(settings.withCurrent { $0.names.count } == 2)
    }

    /// Every version is whole, however often it is replaced meanwhile.
    @Test func settingsThatChange() async throws {
      let settings = try Settings(Settings.Version(limit: 0, names: []))
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        for _ in 0..<2 {
          tasks.addTask {
            for _ in 0..<5000 {
              let isWhole = settings.withCurrent { version in
                version.names.count == version.limit % 4
              }
              if !isWhole { Issue.record("a version that is not whole") }
            }
          }
        }
        for limit in 1...2000 {
          let name = "a name that is too long for a small string"
          let names = [String](repeating: name, count: limit % 4)
          try settings.replace(with: Settings.Version(limit: limit, names: names))
        }
        try await tasks.waitForAll()
      }
      await RCU.barrier()
      #expect(settings.withCurrent { $0.limit } == 2000)
    }
  }
}
