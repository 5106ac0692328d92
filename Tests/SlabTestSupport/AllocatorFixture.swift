// SPDX-License-Identifier: Apache-2.0
// An allocator of a test's own, and what must hold when the test is through with it.

package import SlabCore
package import SlabPlatform
package import Testing

/// Makes an allocator, runs the body, and checks that nothing is left: every ending done, every
/// invariant whole, no group and no child cache alive, nothing charged. The idle clock stands still unless it is asked
/// for: what a cache keeps does not hang on how long a test takes.
package func withAllocator(
  configuration: AllocatorConfiguration = .init(), givesBackIdle: Bool = false,
  sourceLocation: SourceLocation = #_sourceLocation,
  _ body: (Allocator) throws -> Void
) throws {
  var configuration = configuration
  if !givesBackIdle { configuration.idleRoundMilliseconds = 0 }
  let allocator = try Allocator(configuration: configuration)
  defer { allocator.unmapEverything() }
  try body(allocator)
  allocator.waitUntilIdle()
  expectWhole(allocator, sourceLocation: sourceLocation)
  let left = allocator.statistics
  #expect(left.groupsCreated == left.groupsReleased, sourceLocation: sourceLocation)
  // Those that groups share end with their roots: of size classes never.
  #expect(
    left.childCachesCreated - allocator.sharedCacheCount == left.childCachesReleased,
    sourceLocation: sourceLocation)
  #expect(left.rootCachesCreated == left.rootCachesReleased, sourceLocation: sourceLocation)
  #expect(left.chargedBytes == 0, sourceLocation: sourceLocation)
  #expect(left.fences <= left.fenceBatches, sourceLocation: sourceLocation)
}

/// Records an issue that names the broken invariant, if there is one. Of threads only the allocator's workers may be at it:
/// what they have in hand is on no list for a moment. What is broken stays so, unless the idle clock mends it.
package func expectWhole(
  _ allocator: Allocator, sourceLocation: SourceLocation = #_sourceLocation
) {
  let end = SystemCall.monotonicNanoseconds + 2_000_000_000
  while let broken = allocator.brokenInvariant() {
    guard SystemCall.monotonicNanoseconds < end else {
      Issue.record("\(broken)", sourceLocation: sourceLocation)
      return
    }
    Threads.yield()
  }
}

extension Allocator {
  /// A cache with a name given as a string.
  package func makeCache(
    _ name: String, size: Int, alignment: Int = 0, options: SlabCacheOptions = [],
    constructor: Constructor? = nil
  ) throws(AllocatorError) -> Pointer<RootCache> {
    let bytes = Array(name.utf8)
    return try unsafe makeCache(
      named: bytes.span, objectSize: size, alignment: alignment, options: options,
      constructor: constructor)
  }

  /// A group with a name given as a string.
  package func makeGroup(
    _ name: String, below parent: Pointer<Group>? = nil, isUnique: Bool = false,
    max: Int = Group.unlimited, endings: EndingPolicy? = nil, memory: MemoryPolicy? = nil
  ) throws(AllocatorError) -> Pointer<Group> {
    let bytes = Array(name.utf8)
    return try makeGroup(
      named: bytes.span, below: parent, isUnique: isUnique, max: max, endings: endings,
      memory: memory)
  }

  /// The online child of a name, with a handle.
  package func child(_ name: String, of parent: Pointer<Group>) -> Pointer<Group>? {
    let bytes = Array(name.utf8)
    return child(named: bytes.span, of: parent)
  }

  /// Destroys a root that has one user.
  package func destroy(_ root: Pointer<RootCache>) throws(AllocatorError) {
    try destroy(CacheReference(root: root))
  }

  /// The text of slabinfo, read in pieces of a size.
  package func slabinfo(
    of group: Pointer<Group>? = nil, pieceBytes: Int = 4096
  ) throws(AllocatorError) -> String {
    var reader = try SlabinfoReader(of: self, group: group)
    defer { reader.close() }
    var text: [UInt8] = []
    while true {
      let piece = [UInt8](capacity: pieceBytes) { buffer in _ = reader.read(into: &buffer) }
      if piece.isEmpty { break }
      text += piece
    }
    return String(decoding: text, as: UTF8.self)
  }
}
