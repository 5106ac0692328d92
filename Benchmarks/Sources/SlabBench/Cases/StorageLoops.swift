// SPDX-License-Identifier: Apache-2.0
// The loops of `api` for storage of any size: a `SlabArray` beside an `Array`, a `SlabBuffer` beside a block of
// malloc's. Arrays grow from nothing; blocks are made and end, and nothing is written to them.

import CBenchmark
import Glibc
import Slab

struct StorageLoops: Sendable {
  /// Elements of an array that grows: 2.4 MB.
  private static var elements: Int { 300_000 }
  /// Elements that are read: they stay in the first cache.
  private static var elementsRead: Int { 2_048 }
  private static var few: [Int] { Array(0..<10) }

  let group: MemoryGroup

  // MARK: - One element more

  @inline(never)
  func slabArrayAppends(count: Int) {
    for _ in 0..<count / Self.elements {
      var array = SlabArray<Int>(in: group)
      for index in 0..<Self.elements { try! array.append(index) }
      show(array)
    }
  }

  @inline(never)
  func arrayAppends(count: Int) {
    for _ in 0..<count / Self.elements {
      var array: [Int] = []
      for index in 0..<Self.elements { array.append(index) }
      show(array)
    }
  }

  // MARK: - Ten elements more

  @inline(never)
  func slabArrayAppendsOfTen(count: Int) {
    let few = Self.few
    for _ in 0..<count / Self.elements {
      var array = SlabArray<Int>(in: group)
      for _ in 0..<Self.elements / 10 { try! array.append(copying: few) }
      show(array)
    }
  }

  @inline(never)
  func arrayAppendsOfTen(count: Int) {
    let few = Self.few
    for _ in 0..<count / Self.elements {
      var array: [Int] = []
      for _ in 0..<Self.elements / 10 { array.append(contentsOf: few) }
      show(array)
    }
  }

  // MARK: - Reading by index

  @inline(never)
  func slabArrayReads(count: Int) {
    var array = SlabArray<Int>(in: group)
    for index in 0..<Self.elementsRead { try! array.append(index) }
    var sum = 0
    for pass in 0..<count / Self.elementsRead {
      // Or a pass has the sum of the one before.
      array[pass % Self.elementsRead] = sum
      for index in 0..<Self.elementsRead { sum &+= array[index] }
    }
    show(array)
  }

  @inline(never)
  func arrayReads(count: Int) {
    var array = Array(0..<Self.elementsRead)
    var sum = 0
    for pass in 0..<count / Self.elementsRead {
      array[pass % Self.elementsRead] = sum
      for index in 0..<Self.elementsRead { sum &+= array[index] }
    }
    show(array)
  }

  // MARK: - Blocks

  @inline(never)
  func slabBuffers(of bytes: Int, pairs: Int) {
    for _ in 0..<pairs {
      let buffer = try! SlabBuffer(capacity: bytes, in: group)
      // SAFETY: the address is shown and not used.
      unsafe buffer.withUnsafeBytes { unsafe bench_sink($0.baseAddress) }
    }
  }

  @inline(never)
  func blocks(of bytes: Int, pairs: Int) {
    for _ in 0..<pairs {
      // SAFETY: allocated and freed once each.
      let block = unsafe malloc(bytes)
      unsafe bench_sink(block)
      unsafe free(block)
    }
  }

  private func show(_ array: borrowing SlabArray<Int>) {
    // SAFETY: the address is shown and not used.
    unsafe array.span.withUnsafeBufferPointer { unsafe bench_sink($0.baseAddress) }
  }

  private func show(_ array: [Int]) {
    // SAFETY: the address is shown and not used.
    unsafe array.span.withUnsafeBufferPointer { unsafe bench_sink($0.baseAddress) }
  }
}
