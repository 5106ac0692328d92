// SPDX-License-Identifier: Apache-2.0
// The code of the migration guide, before and after: see SnippetTests.

import Glibc
import Slab
import SlabTestSupport
import Testing

struct Leaf: BitwiseCopyable {
  let value: Int
}

@safe
struct Branch: BitwiseCopyable {
  let left: UnsafeMutablePointer<Leaf>
  let right: UnsafeMutablePointer<Leaf>
}

// snippet
@safe
struct Arena: ~Copyable {
  private let start: UnsafeMutableRawPointer
  private var used = 0

  init(bytes: Int) { unsafe start = .allocate(byteCount: bytes, alignment: 16) }
  deinit { unsafe start.deallocate() }

  /// Without a check whether there is room.
  mutating func make<Value: BitwiseCopyable>(_ value: Value) -> UnsafeMutablePointer<Value> {
    defer { used += (MemoryLayout<Value>.size + 15) & ~15 }
    return unsafe (start + used).initializeMemory(as: Value.self, to: value)
  }
}
// end

// snippet
final class ManagedSamples: ManagedBuffer<Int, Double> {
  deinit {
    _ = unsafe withUnsafeMutablePointers { count, samples in
      unsafe samples.deinitialize(count: count.pointee)
    }
  }
}
// end

// snippet
struct Samples: ~Copyable {
  let sensor: Int
  var values: SlabArray<Double>
}
// end

extension Snippets {
  @Suite struct MigrationSnippets {
    @Test func beforeMalloc() {
      // snippet
      let node = UnsafeMutablePointer<Node>.allocate(capacity: 1)
      unsafe node.initialize(to: Node(depth: 1))
      let depth = unsafe node.pointee.depth
      unsafe node.deinitialize(count: 1)
      unsafe node.deallocate()

      let bytes = unsafe malloc(1016)!
      unsafe memset(bytes, 0, 1016)
      unsafe free(bytes)
      // end
      #expect(depth == 1)
    }

    @Test func afterMalloc() throws {
      let tenant = try MemoryGroup.root.makeChild(named: "guide-1")
      // snippet
      let nodes = try SlabCache<Node>(named: "node")  // once, in a property
      let node = try nodes.allocate(Node(depth: 1), in: tenant)
      let depth = node.value.depth
      _ = consume node  // or the end of whatever owns it

      let bytes = try SlabBuffer(zeroed: 1016, in: tenant)
      // end
      #expect(depth == 1 && bytes.byteCount == 1016)
      try tenant.close()
      try nodes.destroy()
    }

    @Test func beforeArena() {
      // snippet
      var arena = Arena(bytes: 1 << 16)
      let leaf = unsafe arena.make(Leaf(value: 7))
      let branch = unsafe arena.make(Branch(left: leaf, right: leaf))
      let sum = unsafe branch.pointee.left.pointee.value + branch.pointee.right.pointee.value
      _ = consume arena  // and with it everything that was made in it
      // end
      #expect(sum == 14)
    }

    @Test func afterArena() async throws {
      let tenant = try MemoryGroup.root.makeChild(named: "guide-2")
      let leaves = try SlabCache<Leaf>(named: "guide-leaf")
      let branches = try SlabCache<Branch>(named: "guide-branch")
      // snippet
      let request = try tenant.makeChild(named: "request-7", max: 1 << 20)
      let leaf = unsafe try leaves.allocate(Leaf(value: 7), in: request).leak()
      let branch = unsafe try branches.allocate(Branch(left: leaf, right: leaf), in: request).leak()
      let sum = unsafe branch.pointee.left.pointee.value + branch.pointee.right.pointee.value
      // SAFETY: all objects of the request were leaked, and nobody has any of them now.
      unsafe try request.discard()
      // end
      #expect(sum == 14)
      try await request.waitUntilDrained()
      #expect(request.usage == 0)
      try tenant.close()
      try leaves.destroy()
      try branches.destroy()
    }

    @Test func beforeManagedBuffer() {
      // snippet
      let samples = ManagedSamples.create(minimumCapacity: 100) { _ in 0 }
      unsafe samples.withUnsafeMutablePointers { count, samples in
        unsafe samples.initialize(to: 1.5)
        unsafe count.pointee = 1
      }
      let first = unsafe samples.withUnsafeMutablePointerToElements { unsafe $0.pointee }
      // end
      #expect(first == 1.5)
    }

    @Test func afterManagedBuffer() throws {
      let tenant = try MemoryGroup.root.makeChild(named: "guide-3")
      // snippet
      var samples = Samples(
        sensor: 1, values: try SlabArray(minimumCapacity: 100, in: tenant))
      try samples.values.append(1.5)
      let first = samples.values[0]
      // end
      #expect(first == 1.5 && samples.sensor == 1)
      try tenant.close()
    }
  }
}
