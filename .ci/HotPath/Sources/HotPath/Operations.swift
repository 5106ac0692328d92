// SPDX-License-Identifier: Apache-2.0
// What `.ci/golden_counts` counts: each call of a function of this file that is not private is a row of its table, under
// the name that is printed before the call.

import Slab

typealias Objects = UnsafeMutableBufferPointer<UnsafeMutableRawPointer>

@inline(never)
func allocateEach(
  _ cache: RawSlabCache, _ group: MemoryGroup, _ objects: Objects
) throws(SlabError) {
  for index in objects.indices { unsafe objects[index] = try cache.allocate(in: group) }
}

@inline(never)
func freeEach(_ cache: RawSlabCache, _ objects: Objects) {
  for index in objects.indices { unsafe cache.free(objects[index]) }
}

@inline(never)
func makeGroup(_ name: String) throws(SlabError) -> MemoryGroup {
  try MemoryGroup.root.makeChild(named: name)
}

@inline(never)
func closeGroup(_ group: MemoryGroup) throws(SlabError) { try group.close() }

@safe
struct Operations {
  private let objects: Objects

  static func run() throws {
    let most = 12_000
    // SAFETY: freed below, and used within its count.
    let memory = Objects.allocate(capacity: most)
    defer { unsafe memory.deallocate() }
    let operations = unsafe Operations(objects: memory)
    try operations.runSheaves()
    try operations.runSlabs(objectSize: 1024, live: 10_000, counted: 1000)
    try operations.runSlabs(objectSize: 8192, live: 2000, counted: 250)
    try operations.runGroup()
  }

  private func named(_ name: String) { print("counted \(name)") }

  private func first(_ count: Int) -> Objects { unsafe Objects(rebasing: objects[..<count]) }

  private func from(_ start: Int, _ count: Int) -> Objects {
    unsafe Objects(rebasing: objects[start..<start + count])
  }

  /// Without a row.
  private func allocate(_ cache: RawSlabCache, _ group: MemoryGroup, _ some: Objects) throws {
    var left = some.count
    while left > 0 {
      left -= 1
      unsafe some[left] = try cache.allocate(in: group)
    }
  }

  private func free(_ cache: RawSlabCache, _ some: Objects) {
    var left = some.count
    while left > 0 {
      left -= 1
      unsafe cache.free(some[left])
    }
  }

  private func runSheaves() throws {
    let group = try MemoryGroup.root.makeChild(named: "sheaves")
    let cache = try RawSlabCache(named: "object-64", objectSize: 64)
    let few = unsafe first(100)
    let many = unsafe first(2000)
    for _ in 0..<40 {
      try unsafe allocate(cache, group, few)
      unsafe free(cache, few)
    }
    named("pop")
    try unsafe allocateEach(cache, group, first(1))
    named("push")
    unsafe freeEach(cache, first(1))
    for _ in 0..<40 {
      try unsafe allocate(cache, group, many)
      unsafe free(cache, many)
    }
    named("1000 pops, barn")
    try unsafe allocateEach(cache, group, first(1000))
    named("1000 pushes, barn")
    unsafe freeEach(cache, first(1000))
    try group.close()
  }

  private func runSlabs(objectSize: Int, live: Int, counted: Int) throws {
    let group = try MemoryGroup.root.makeChild(named: "slabs-\(objectSize)")
    let cache = try RawSlabCache(named: "object-\(objectSize)", objectSize: objectSize)
    try unsafe allocate(cache, group, first(live))
    let some = unsafe from(live, counted)
    named("\(counted) of \(objectSize), new slabs")
    try unsafe allocateEach(cache, group, some)
    // Every other one of those that were there before, of which no slab is whole.
    var index = 0
    while index < live {
      unsafe cache.free(objects[index])
      index += 2
    }
    let free = unsafe from(live + counted, counted / 2)
    named("\(counted / 2) of \(objectSize), used slabs")
    try unsafe allocateEach(cache, group, free)
    named("\(counted) of \(objectSize), freed")
    unsafe freeEach(cache, some)
    try group.close()
  }

  private func runGroup() throws {
    let caches = try [32, 96, 256].map {
      try RawSlabCache(named: "object-\($0)", objectSize: $0)
    }
    // Until the core's own caches are warm.
    for turn in 0..<20 {
      let group = try MemoryGroup.root.makeChild(named: "cold-\(turn)")
      for cache in caches { try unsafe allocate(cache, group, first(3)) }
      try group.close()
    }
    named("group: made")
    let group = try makeGroup("group")
    for (index, cache) in caches.enumerated() {
      named("group: 3 objects of cache \(index + 1)")
      try unsafe allocateEach(cache, group, from(index * 3, 3))
    }
    for (index, cache) in caches.enumerated() {
      named("group: frees of cache \(index + 1)")
      unsafe freeEach(cache, from(index * 3, 3))
    }
    named("group: closed")
    try closeGroup(group)
  }
}
