// The allocator of the process: the one that caches and groups are of unless they say otherwise.

internal import SlabCore
internal import SlabPlatform
internal import Synchronization

extension SlabAllocator {
  /// The allocator of this process, made at its first use and never ended. Objects of it are freed
  /// without a search for their allocator; that of others costs a lock and O(allocators).
  ///
  /// If the system refuses its addresses, the process ends with one line that says what was refused. `configureShared` makes it
  /// beforehand, and throws instead.
  public static let shared: SlabAllocator = SharedAllocator.value()

  /// Makes the shared allocator with a configuration of its own: before its first use, at the start of
  /// the program.
  ///
  /// - Throws: `.sharedAllocatorInUse` if it has been made already; what `init(configuration:)` throws.
  public static func configureShared(_ configuration: Configuration) throws(SlabError) {
    try SharedAllocator.make(configuration)
  }
}

private enum SharedAllocator {
  private static func fail(_ error: SlabError) -> Never {
    var line = ErrorLine()
    line.append("allocator: the shared one cannot be made")
    line.append(": ")
    for byte in error.description.utf8 { line.append(byte) }
    line.end()
  }

  private static let made = Mutex<SlabAllocator?>(nil)

  static func make(_ configuration: SlabAllocator.Configuration) throws(SlabError) {
    try made.withLock { made throws(SlabError) in
      guard made == nil else { throw .sharedAllocatorInUse }
      let allocator = try SlabAllocator(configuration: configuration)
      allocator.core.becomeShared()
      made = allocator
    }
  }

  static func value() -> SlabAllocator {
    // Another thread may be the first; what matters is that there is one afterwards.
    do { try make(SlabAllocator.Configuration()) } catch {
      guard error == .sharedAllocatorInUse else { fail(error) }
    }
    return made.withLock { $0! }
  }
}
