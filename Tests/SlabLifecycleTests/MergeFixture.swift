// SPDX-License-Identifier: Apache-2.0
// An allocator that merges caches that are alike, and what tests ask of it.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

func withMergingAllocator(
  sourceLocation: SourceLocation = #_sourceLocation, _ body: (Allocator) throws -> Void
) throws {
  var configuration = AllocatorConfiguration()
  configuration.mergesCaches = true
  try withAllocator(configuration: configuration, sourceLocation: sourceLocation) { allocator in
    try body(allocator)
    let figures = allocator.statistics
    #expect(figures.aliasesCreated == figures.aliasesDropped, sourceLocation: sourceLocation)
    #expect(allocator.aliasObjects == 0, sourceLocation: sourceLocation)
  }
}

/// What a cache looks like to a comparison.
struct Wanted: Sendable, CustomTestStringConvertible {
  var size: Int
  var alignment = 0
  var options: SlabCacheOptions = []
  var hasConstructor = false

  var testDescription: String {
    "size \(size), alignment \(alignment)\(options.isEmpty ? "" : ", cache-aligned")"
      + (hasConstructor ? ", constructor" : "")
  }
}

private func doNothing(_ object: UnsafeMutableRawPointer) {}

extension Allocator {
  func makeReference(_ name: String, size: Int) throws(AllocatorError)
    -> CacheReference
  {
    try makeReference(name, Wanted(size: size))
  }

  func makeReference(
    _ name: String, _ wanted: Wanted
  ) throws(AllocatorError) -> CacheReference {
    let bytes = Array(name.utf8)
    return try unsafe makeReference(
      named: bytes.span, objectSize: wanted.size, alignment: wanted.alignment,
      options: wanted.options, constructor: wanted.hasConstructor ? doNothing : nil)
  }

  /// Names in slabinfo of the caches of users, newest first.
  func namesInSlabinfo() throws -> [String] {
    return try slabinfo().split(separator: "\n").dropFirst(2).map {
      String($0.split(separator: " ")[0])
    }.filter { !$0.hasPrefix("core:") }
  }

  /// Objects that are taken from the general cache of the aliases' size and not free.
  var aliasObjects: Int {
    (try? liveObjects(of: cachesState.pointee.general[2]!)) ?? -1
  }
}

extension CacheReference {
  var nameOfUser: CacheName { alias?.pointee.name ?? root.pointee.name }
}

extension CacheName {
  var text: String {
    String(decoding: (0..<byteCount).map { self[$0] }, as: UTF8.self)
  }
}
