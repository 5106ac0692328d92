// SPDX-License-Identifier: Apache-2.0
// Lives a recording on the allocator, in a number of copies side by side: for each recorded
// group as many memory groups, for each recorded object as many objects, on one set of caches.
//
// Invariants: `objects` has one entry for each place and copy, which is the object that the
// allocator gave out and that was stamped, or nil; `handles` likewise for groups, until the
// group is offline. Every object is checked before it is freed.

import Slab

@safe struct SlabReplayTarget: ReplayTarget {
  private struct Cache {
    var slabs: RawSlabCache
    var objectBytes: Int
  }

  private struct Place {
    var cache = 0
    var isCharged = false
    /// How many objects the place has had.
    var generation: UInt32 = 0
  }

  private let allocator: SlabAllocator
  private let rootGroup: MemoryGroup
  private let copies: Int
  private var caches: [Cache] = []
  private var cacheNames: Set<String> = []
  private var handles: [MemoryGroup?] = []
  private var places: [Place] = []
  private var objects: [UnsafeMutableRawPointer?] = unsafe []

  /// The bytes of the charged objects that live, in all copies.
  private(set) var chargedLiveBytes = 0
  /// How long each recorded end of a group took, in every copy.
  private(set) var offlineLatencies = Latencies()

  init(_ allocator: SlabAllocator, copies: Int) {
    self.allocator = allocator
    rootGroup = allocator.rootGroup
    self.copies = copies
  }

  // MARK: Caches and groups

  mutating func makeCache(
    _ cache: Int, named name: String, objectBytes: Int
  ) throws(ToolError) {
    let name = uniqueCacheName(name)
    do throws(SlabError) {
      let slabs = try RawSlabCache(named: name, objectSize: objectBytes, of: allocator)
      caches.append(Cache(slabs: slabs, objectBytes: objectBytes))
    } catch {
      throw .allocator("make cache \(name) of \(objectBytes) bytes", error)
    }
  }

  /// A name that a cache can have: as recorded, if that is one. Those that begin with `core:` are the
  /// allocator's own.
  private mutating func uniqueCacheName(_ recorded: String) -> String {
    var bytes = recorded.utf8.prefix(56).map { $0 <= 0x20 || $0 >= 0x7f ? UInt8(ascii: "_") : $0 }
    if bytes.starts(with: "core:".utf8) { bytes[4] = UInt8(ascii: "_") }
    let name = String(decoding: bytes, as: UTF8.self)
    var unique = name
    var number = 1
    while !cacheNames.insert(unique).inserted {
      number += 1
      unique = "\(name)~\(number)"
    }
    return unique
  }

  mutating func makeGroup(_ group: Int, named name: String, parent: Int?) throws(ToolError) {
    for copy in 0..<copies {
      let copyName = Self.groupName(name, group: group, copy: copy)
      let parentHandle = parent.flatMap { handles[$0 * copies + copy] } ?? rootGroup
      do throws(SlabError) {
        handles.append(try parentHandle.makeChild(named: copyName))
      } catch {
        throw .allocator("make group \(copyName)", error)
      }
    }
  }

  /// A name for a group that is unique and has no byte that names must not have: the end of its path,
  /// its number in the recording, and that of the copy but for the first.
  static func groupName(_ path: String, group: Int, copy: Int) -> String {
    let component = path.utf8.split(separator: UInt8(ascii: "/")).last ?? "group".utf8[...]
    let printable = component.suffix(200).map {
      $0 <= 0x20 || $0 >= 0x7f ? UInt8(ascii: "_") : $0
    }
    let name = "\(String(decoding: printable, as: UTF8.self))#\(group + 1)"
    return copy == 0 ? name : "\(name).\(copy + 1)"
  }

  mutating func offlineGroup(_ group: Int) throws(ToolError) {
    for copy in 0..<copies {
      guard let handle = handles[group * copies + copy] else { continue }
      let start = MonotonicTime.nanoseconds()
      try Self.offline(handle)
      offlineLatencies.add(nanoseconds: MonotonicTime.nanoseconds() - start)
      handles[group * copies + copy] = nil
    }
  }

  private static func offline(_ group: MemoryGroup) throws(ToolError) {
    do throws(SlabError) {
      try group.close()
    } catch {
      throw .allocator("take group \(group.name) offline", error)
    }
  }

  // MARK: Objects

  mutating func allocate(place: Int, cache: Int, group: Int?) throws(ToolError) {
    if place == places.count {
      places.append(Place())
      unsafe objects.append(contentsOf: repeatElement(nil, count: copies))
    }
    let objectBytes = caches[cache].objectBytes
    places[place].cache = cache
    places[place].isCharged = group != nil
    places[place].generation &+= 1
    if group != nil { chargedLiveBytes += copies * objectBytes }
    for copy in 0..<copies {
      let handle = group.flatMap { handles[$0 * copies + copy] }
      do throws(SlabError) {
        // SAFETY: the allocator gives out `objectBytes` bytes that are ours until they are freed.
        let object = try unsafe caches[cache].slabs.allocate(in: handle ?? rootGroup)
        unsafe stamp(place, copy).write(to: object)
        unsafe objects[place * copies + copy] = object
      } catch {
        let owner = handle.map { " in group \($0.name)" } ?? ""
        throw .allocator("allocate from cache \(caches[cache].slabs.name)\(owner)", error)
      }
    }
  }

  mutating func free(place: Int) throws(ToolError) {
    let cache = caches[places[place].cache]
    if places[place].isCharged {
      chargedLiveBytes -= copies * cache.objectBytes
      places[place].isCharged = false
    }
    for copy in 0..<copies {
      // SAFETY: the object came from this cache and is still ours: its entry is set to nil in
      // the step in which it is freed.
      guard let object = unsafe objects[place * copies + copy] else { continue }
      guard unsafe stamp(place, copy).isIntact(in: object) else {
        throw .overwritten(cache: cache.slabs.name, place: place, copy: copy + 1)
      }
      unsafe objects[place * copies + copy] = nil
      unsafe cache.slabs.free(object)
    }
  }

  private func stamp(_ place: Int, _ copy: Int) -> ObjectStamp {
    ObjectStamp(
      place: place, copy: copy, generation: places[place].generation,
      objectBytes: caches[places[place].cache].objectBytes)
  }

  // MARK: Cleaning up

  /// Ends every group and frees every object that the recording left. Those ends are not part of
  /// the latencies. Later groups end first: a parent is older than its children.
  mutating func endGroupsAndObjects() throws(ToolError) {
    for index in handles.indices.reversed() {
      guard let handle = handles[index] else { continue }
      try Self.offline(handle)
      handles[index] = nil
    }
    for place in places.indices { try free(place: place) }
  }

  /// Destroys the caches, all of whose objects are free.
  mutating func destroyCaches() throws(ToolError) {
    for cache in caches {
      do throws(SlabError) {
        try cache.slabs.destroy()
      } catch {
        throw .allocator("destroy cache \(cache.slabs.name)", error)
      }
    }
    caches = []
  }
}
