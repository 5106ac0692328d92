// SPDX-License-Identifier: Apache-2.0
// A per-CPU region with one pair of sheaf words, as a cache has them.

import SlabPlatform
import SlabTestSupport
import Testing

/// The modes that this process can have; under SLAB_PERCPU=fallback that is one.
let testedModes: [PerCPUMode] = {
  guard let best = try? PerCPUMode.choose().mode, best == .restartableSequences else {
    return [.lockedStripes]
  }
  return [.restartableSequences, .lockedStripes]
}()

extension PerCPUMode {
  /// For exit tests, which take over simple values only.
  static func lockedStripes(_ isLocked: Bool) -> PerCPUMode {
    isLocked ? .lockedStripes : .restartableSequences
  }
}

struct RegionFixture: @unchecked Sendable {
  // Unchecked since a region is made to be used by many threads.
  let region: Pointer<PerCPURegion>
  let words: Pointer<SheafWords>

  var mode: PerCPUMode { region.pointee.mode }

  /// A region of one mode; `close` ends it.
  static func make(_ mode: PerCPUMode) throws -> RegionFixture {
    let region = UnsafeMutablePointer<PerCPURegion>.allocate(capacity: 1)
    unsafe region.initialize(to: try PerCPURegion(mode: mode))
    let words = UnsafeMutablePointer<SheafWords>.allocate(capacity: 1)
    unsafe words.initialize(to: SheafWords())
    return unsafe RegionFixture(region: Pointer(region), words: Pointer(words))
  }

  func close() {
    region.pointee.unmap()
    unsafe region.unsafePointer.deallocate()
    unsafe words.unsafePointer.deallocate()
  }

  /// Opens a new sheaf of a class; returns its word.
  func open(ofClass index: Int, capacity: Int? = nil) throws -> SheafWord {
    let first = try #require(allocateSheaf(ofClass: index))
    let most = PerCPURegion.sheafCapacity(ofClass: index)
    let word = SheafWord(first: first, capacity: min(most, capacity ?? most))
    #expect(exchange(word).isClosed)
    return word
  }

  func exchange(_ word: SheafWord) -> SheafWord { words.pointee.exchange(word, mode: mode) }

  /// Closes the sheaf, waits until nobody uses it, and returns what was in it on all stripes.
  func closeAndFlush(ofClass index: Int) throws -> [UInt] {
    let word = exchange(.closed)
    try region.pointee.fence()
    let objects = objects(in: word)
    for stripe in 0..<region.pointee.stripeCount {
      Words(at: region.pointee.address(word.first, onStripe: stripe))[0] = 0
    }
    region.freeSheaf(word.first, ofClass: index)
    return objects
  }

  func objects(in word: SheafWord) -> [UInt] {
    var objects: [UInt] = []
    for stripe in 0..<region.pointee.stripeCount {
      let sheaf = Words(at: region.pointee.address(word.first, onStripe: stripe))
      let count = Int(sheaf[0]) / 8
      if count > 0 { objects += (1...count).map { UInt(sheaf[$0]) } }
    }
    return objects
  }

  func allocateSheaf(ofClass index: Int) -> UInt? {
    region.allocateSheaf(ofClass: index)
  }

  func freeSheaf(_ first: UInt, ofClass index: Int) {
    region.freeSheaf(first, ofClass: index)
  }

  func allocateCounters() -> UInt? { region.allocateCounters() }
  func sum(ofCounter index: Int, of block: UInt) -> Int {
    region.pointee.sum(ofCounter: index, of: block)
  }
  func trim() -> Int { region.trim() }
  func fence() throws(Errno) { try region.pointee.fence() }
  var usedBytes: Int { region.usedBytes }
  var liveSheaves: Int { region.pointee.liveSheaves }

  func pop() -> UInt { region.pointee.pop(words) }
  func push(_ object: UInt) -> Sheaf.Push { region.pointee.push(words, object) }

  func popBatch(_ most: Int) -> [UInt] {
    unsafe withUnsafeTemporaryAllocation(of: UInt.self, capacity: max(1, most)) { buffer in
      let part = unsafe UnsafeMutableBufferPointer(rebasing: buffer[..<most])
      let count = unsafe region.pointee.popBatch(words, into: part)
      return unsafe Array(part[..<count])
    }
  }

  func pushBatch(_ objects: [UInt]) -> Int {
    var objects = objects
    return unsafe objects.withUnsafeMutableBufferPointer { buffer in
      unsafe region.pointee.pushBatch(words, buffer)
    }
  }
}

/// Runs a body with a region that is ended afterwards.
func withRegion(_ mode: PerCPUMode, _ body: (RegionFixture) throws -> Void) throws {
  let fixture = try RegionFixture.make(mode)
  defer { fixture.close() }
  try body(fixture)
}
