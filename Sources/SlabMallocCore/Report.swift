// SPDX-License-Identifier: Apache-2.0
// What the allocator has: numbers for C, and the report for a person. Nothing is allocated for either.
// The names are those of C.
// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CSlabMalloc
internal import SlabCore
internal import SlabPlatform

@c @implementation
public func slab_malloc_core_trim() -> Int {
  let allocator = SharedHeap.allocator!
  let before = allocator.value(of: "returned_bytes")
  allocator.trim()
  return allocator.value(of: "returned_bytes") - before
}

@c @implementation
public func slab_malloc_core_figures(_ figures: UnsafeMutablePointer<slab_malloc_figures>) {
  let allocator = SharedHeap.allocator!
  var used = 0
  var unused = 0
  allocator.forEachRootCache { usage in
    used += usage.objectsInUse * usage.geometry.placeBytes
    unused += usage.objectsTotal - usage.objectsInUse
  }
  let system = allocator.value(of: "system_bytes")
  // SAFETY: the caller's variable. Together the numbers are of one moment only if no thread works.
  unsafe figures.pointee = slab_malloc_figures(
    system: system, used: used, blocks: max(0, unused), free: max(0, system - used))
}

@c @implementation
public func slab_malloc_core_report(_ descriptor: CInt) {
  let allocator = SharedHeap.allocator!
  var report = Report(descriptor: descriptor)
  report.append("# slab: usage of the process, in bytes\n")
  let readings = Report.readings
  for index in readings.indices {
    let name = readings[index]
    report.append(name)
    report.append(" ")
    report.append(allocator.value(of: name))
    report.append("\n")
  }
  report.append("# slab: groups: usage, peak, max, name\n")
  allocator.forEachGroup(atAndBelow: allocator.rootGroup) { report.append($0, of: allocator) }
  report.append("# slab: caches\n")
  report.appendSlabinfo(of: allocator)
  report.write()
}

extension Allocator {
  /// One of its readings, by name.
  fileprivate func value(of name: StaticString) -> Int {
    var found = 0
    forEachReading { description, value in
      if description.name.isSame(as: name) { found = value }
    }
    return found
  }
}

extension StaticString {
  fileprivate func isSame(as other: StaticString) -> Bool {
    guard utf8CodeUnitCount == other.utf8CodeUnitCount else { return false }
    for index in 0..<utf8CodeUnitCount {
      // SAFETY: the index is below the count of both.
      guard unsafe utf8Start[index] == other.utf8Start[index] else { return false }
    }
    return true
  }
}

/// Text on its way to a file, in pieces of at most 1,024 bytes.
private struct Report {
  private let descriptor: CInt
  private var bytes = InlineArray<1024, UInt8>(repeating: 0)
  private var count = 0

  static var readings: InlineArray<6, StaticString> {
    [
      "charged_bytes", "charged_bytes_peak", "used_bytes", "free_resident_bytes", "system_bytes",
      "system_bytes_peak",
    ]
  }

  init(descriptor: CInt) { self.descriptor = descriptor }

  mutating func append(_ byte: UInt8) {
    if count == bytes.count { write() }
    bytes[count] = byte
    count += 1
  }

  mutating func append(_ text: StaticString) {
    // SAFETY: the index is below the string's count.
    for index in 0..<text.utf8CodeUnitCount { append(unsafe text.utf8Start[index]) }
  }

  mutating func append(_ number: Int) {
    if number >= 10 { append(number / 10) }
    append(UInt8(ascii: "0") + UInt8(max(0, number) % 10))
  }

  mutating func append(_ group: Pointer<Group>, of allocator: Allocator) {
    let reading = allocator.reading(of: group)
    append(reading.chargedBytes)
    append(" ")
    append(reading.peakBytes)
    append(" ")
    if reading.max == Group.unlimited { append("none") } else { append(reading.max) }
    append(" ")
    group.withName { name in
      for index in name.indices { append(name[index]) }
      if name.isEmpty { append(group.parent == nil ? "(root)" : "(none)") }
    }
    append("\n")
  }

  mutating func appendSlabinfo(of allocator: Allocator) {
    guard var reader = try? SlabinfoReader(of: allocator) else { return }
    // SAFETY: the buffer is used within its scope; what the reader has filled of it is read.
    unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 512) { buffer in
      var length = 0
      repeat {
        var output = unsafe OutputSpan(buffer: buffer, initializedCount: 0)
        length = reader.read(into: &output)
        _ = unsafe output.finalize(for: buffer)
        for index in 0..<length { append(unsafe buffer[index]) }
      } while length > 0
    }
    reader.close()
  }

  /// Writes what there is; where the file takes nothing, it is lost.
  mutating func write() {
    var written = 0
    while written < count {
      // SAFETY: write(2) reads what is left of the bytes that are filled.
      let result = unsafe bytes.span.withUnsafeBytes { bytes in
        unsafe slab_write(descriptor, bytes.baseAddress! + written, count - written)
      }
      guard result > 0 else { break }
      written += result
    }
    count = 0
  }
}
