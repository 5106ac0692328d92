// SPDX-License-Identifier: Apache-2.0
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
    guard try adopt(configuration) else { throw .sharedAllocatorInUse }
  }

  static func value() -> SlabAllocator {
    // Another thread may be the first, or the C library; what matters is that there is one afterwards.
    do { _ = try adopt(SlabAllocator.Configuration()) } catch { fail(error) }
    return made.withLock { $0! }
  }

  /// Whether the core's shared allocator was made by this call. Its handle is made with the first one.
  private static func adopt(
    _ configuration: SlabAllocator.Configuration
  ) throws(SlabError) -> Bool {
    try made.withLock { made throws(SlabError) in
      guard made == nil else { return false }
      do throws(AllocatorError) {
        let (core, isNew) = try SharedHeap.makeAllocator(configuration)
        made = SlabAllocator(core)
        return isNew
      } catch { throw SlabError(error) }
    }
  }
}
