// SPDX-License-Identifier: Apache-2.0
// A snapshot as JSON, made in pieces of a few hundred bytes (docs/schema/snapshot-1.json): the counters of the moment
// at which the reading began, then the caches and the groups as the reading comes to them.

internal import SlabCore
internal import SlabPlatform

struct SnapshotText: ~Copyable {
  private let allocator: Allocator
  private var caches: RootCursor
  private var groups: GroupCursor
  private var readings = Readings()
  /// What comes next.
  private var next = Part.counters(0)
  private var piece = TextPiece()
  /// Bytes of the piece that have been read.
  private var offset = 0

  private enum Part {
    case counters(Int)
    case caches(isFirst: Bool)
    case groups(isFirst: Bool)
    /// The path of the group that the reading has come to, from a byte on.
    case path(from: Int)
    case end
  }

  /// The caller has a handle on the group until `close`.
  init(atAndBelow group: Pointer<Group>) throws(AllocatorError) {
    let allocator = Allocator(of: group)
    let caches = try RootCursor(in: allocator)
    let groups: GroupCursor
    do throws(AllocatorError) {
      groups = try GroupCursor(atAndBelow: group, in: allocator)
    } catch {
      caches.free(to: allocator)
      throw error
    }
    self.allocator = allocator
    self.caches = caches
    self.groups = groups
    readings.take(from: allocator)
  }

  /// Fills the buffer with the next bytes. O(bytes).
  mutating func read(into buffer: inout OutputSpan<UInt8>) {
    while !buffer.isFull {
      if offset == piece.count {
        guard makePiece() else { return }
      }
      buffer.append(piece[offset])
      offset += 1
    }
  }

  mutating func close() {
    caches.free(to: allocator)
    groups.free(to: allocator)
  }

  /// False behind the last one.
  private mutating func makePiece() -> Bool {
    piece.count = 0
    offset = 0
    switch next {
    case .counters(let index): appendCounter(index)
    case .caches(let isFirst): appendCache(isFirst: isFirst)
    case .groups(let isFirst): appendGroup(isFirst: isFirst)
    case .path(let start): appendPath(from: start)
    case .end: return false
    }
    return true
  }

  private mutating func appendCounter(_ index: Int) {
    piece.append(index == 0 ? "{\"counters\":[" : ",")
    piece.append(readings[index])
    let isLast = index + 1 == readings.count
    if isLast { piece.append("],\"caches\":[") }
    next = isLast ? .caches(isFirst: true) : .counters(index + 1)
  }

  private mutating func appendCache(isFirst: Bool) {
    guard let cache = caches.next(in: allocator) else {
      piece.append("],\"groups\":[")
      next = .groups(isFirst: true)
      return
    }
    if !isFirst { piece.append(",") }
    piece.append(cache)
    next = .caches(isFirst: false)
  }

  private mutating func appendGroup(isFirst: Bool) {
    guard let group = groups.group else {
      piece.append("]}\n")
      next = .end
      return
    }
    if !isFirst { piece.append(",") }
    piece.append(allocator.reading(of: group))
    piece.append("\"path\":\"")
    next = .path(from: 0)
  }

  private mutating func appendPath(from start: Int) {
    var position = 0
    var end = start
    groups.group?.forEachByteOfPath { byte in
      if position >= start, piece.hasRoomForText {
        piece.append(escaped: byte)
        end = position + 1
      }
      position += 1
    }
    guard end == position else {
      next = .path(from: end)
      return
    }
    piece.append("\"}")
    groups.advance(in: allocator)
    next = .groups(isFirst: false)
  }
}

/// The counters of a moment.
private struct Readings {
  struct Reading {
    let description: CounterDescription
    let value: Int
  }

  private var readings = InlineArray<128, Reading?>(repeating: nil)
  private(set) var count = 0

  mutating func take(from allocator: Allocator) {
    allocator.forEachReading { description, value in
      readings[count] = Reading(description: description, value: value)
      count += 1
    }
  }

  subscript(index: Int) -> Reading { readings[index]! }
}

extension TextPiece {
  fileprivate mutating func append(_ reading: Readings.Reading) {
    append("{\"name\":\"")
    append(reading.description.name)
    append("\",\"unit\":\"")
    append(reading.description.unit.text)
    append("\",\"kind\":\"")
    append(reading.description.kind.text)
    append("\",\"help\":\"")
    append(reading.description.help)
    append("\",\"value\":")
    append(reading.value)
    append("}")
  }

  fileprivate mutating func append(_ cache: CacheUsage) {
    append("{\"name\":\"")
    for index in 0..<cache.name.byteCount { append(escaped: cache.name[index]) }
    append("\",\"object_size\":")
    append(cache.objectBytes)
    append(",\"objects_in_use\":")
    append(cache.objectsInUse)
    append(",\"objects_total\":")
    append(cache.objectsTotal)
    append(",\"slab_bytes\":")
    append(cache.slabBytes)
    append(cache.isInherited ? ",\"is_inherited\":true}" : ",\"is_inherited\":false}")
  }

  /// All but the path, which may be long, and the end.
  fileprivate mutating func append(_ group: GroupReading) {
    append(group.isOnline ? "{\"is_online\":true,\"usage\":" : "{\"is_online\":false,\"usage\":")
    append(group.chargedBytes)
    append(",\"peak\":")
    append(group.peakBytes)
    if group.max != Group.unlimited {
      append(",\"max\":")
      append(group.max)
    }
    if group.high != Group.unlimited {
      append(",\"high\":")
      append(group.high)
    }
    append(",\"low\":")
    append(group.low)
    append(",\"online_descendants\":")
    append(group.descendants.online)
    append(",\"dying_descendants\":")
    append(group.descendants.dying)
    append(",\"caches\":[],")
  }
}
