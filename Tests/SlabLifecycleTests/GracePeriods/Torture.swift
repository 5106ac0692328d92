// SPDX-License-Identifier: Apache-2.0
// What the torture tests share (in the manner of rcutorture): a writer replaces the published element
// again and again; the old one goes through a pipeline and gets older by one with each grace period.
//
//   age 0      published
//   age 1      unpublished: a reader may still have found it
//   age 2...   a grace period has passed since: no reader that found it can be in its section
//
// A reader looks at the age at the end of its section. An age above 1 is a grace period that was too
// short. So is an element that turned into another one.

import SlabPlatform
import SlabTestSupport
import Synchronization
import Testing

@testable import SlabCore

final class Torture: Sendable {
  let allocator: Allocator
  let root: Pointer<RootCache>
  /// The published element.
  let current = Atomic<UInt>(0)
  let isOver = Atomic<Bool>(false)
  /// Readers that have read once: the writer waits for all of them.
  let started = Atomic<Int>(0)
  /// How often readers saw each age.
  let histogram = InlineArray<16, Atomic<Int>> { _ in Atomic(0) }
  /// Elements that turned into other ones under a reader.
  let changed = Atomic<Int>(0)
  /// First callbacks that have run.
  let called = Atomic<Int>(0)
  /// Sections that another thread will end.
  let mailbox = Shared([(section: ReaderSection, seen: Seen)]())

  static var pipelineLength: UInt64 { 10 }
  static var oldest: UInt64 { 1 }

  init(_ allocator: Allocator) throws {
    self.allocator = allocator
    root = try allocator.makeCache("element", size: 64)
  }

  /// An element as a reader found it.
  struct Seen: Sendable {
    let element: Element
    let generation: UInt64
  }

  /// An object: the head of its callback, its age, the torture that it belongs to, its generation.
  struct Element: Sendable, Equatable {
    let address: UInt
    var age: AtomicWord { AtomicWord(at: address + 16) }
    var owner: AtomicWord { AtomicWord(at: address + 24) }
    var generation: AtomicWord { AtomicWord(at: address + 32) }

    func getOlder() -> UInt64 {
      // Nobody else makes it older.
      let age = self.age.load() + 1
      self.age.store(age)
      return age
    }
  }

  // MARK: - The writer

  /// Publishes an element that has never been there and returns the one before, of age 1.
  func replace(generation: Int) -> Element? {
    let new = Element(address: try! allocator.allocate(from: root, in: nil))
    new.age.store(0)
    new.generation.store(UInt64(generation))
    // SAFETY: the torture outlives its callbacks: each test waits for them.
    unsafe new.owner.store(UInt64(UInt(bitPattern: Unmanaged.passUnretained(self).toOpaque())))
    let old = current.exchange(new.address, ordering: .acquiringAndReleasing)
    guard old != 0 else { return nil }
    let element = Element(address: old)
    _ = element.getOlder()
    return element
  }

  /// One stage for all elements of a pipeline; frees those that have gone through.
  func advance(_ pipeline: inout [Element]) {
    pipeline.removeAll { element in
      guard element.getOlder() >= Self.pipelineLength else { return false }
      allocator.free(element.address)
      return true
    }
  }

  /// The stages by callbacks: each queues the next one.
  func call(_ element: Element) {
    unsafe allocator.call(Pointer(nonzeroAddress: element.address)) { head in
      let element = Element(address: UInt(bitPattern: head))
      // SAFETY: see `replace`.
      let torture = unsafe Unmanaged<Torture>.fromOpaque(
        UnsafeRawPointer(bitPattern: UInt(element.owner.load()))!
      ).takeUnretainedValue()
      let age = element.getOlder()
      if age == Torture.oldest + 1 { torture.called.add(1, ordering: .relaxed) }
      if age < Torture.pipelineLength {
        torture.call(element)
      } else {
        torture.allocator.free(element.address)
      }
    }
  }

  // MARK: - The whole

  /// Runs readers beside a writer, and then looks at what they saw.
  func run(readers: Int, seed: UInt64, writer: @escaping @Sendable (Torture) -> Void) throws {
    _ = replace(generation: 0)
    let threads = (0..<readers).map { index in
      TestThread {
        var reader = TortureReader(self, seed: seed &+ UInt64(index))
        reader.read()
        self.started.add(1, ordering: .relaxed)
        while !self.isOver.load(ordering: .acquiring) { reader.read() }
      }
    }
    let closer = TestThread {
      while !self.isOver.load(ordering: .acquiring) {
        if !self.closeOne() { Threads.yield() }
      }
    }
    while started.load(ordering: .relaxed) < readers { Threads.yield() }
    TestThread { writer(self) }.join()
    isOver.store(true, ordering: .releasing)
    for thread in threads { thread.join() }
    closer.join()
    while closeOne() {}
    // Callbacks queue callbacks, once for each stage.
    for _ in 0..<Self.pipelineLength { allocator.barrier() }
    allocator.free(current.exchange(0, ordering: .acquiring))
    let ages = (0..<16).map { histogram[$0].load(ordering: .relaxed) }
    #expect(ages[Int(Self.oldest + 1)...].allSatisfy { $0 == 0 }, "ages seen: \(ages)")
    #expect(changed.load(ordering: .relaxed) == 0, "elements that changed under a reader")
    #expect(ages[0] > readers, "readers did nothing: \(ages)")
    try allocator.destroy(root)
  }

  /// Ends a section that another thread began. False if there is none.
  func closeOne() -> Bool {
    guard let (section, seen) = mailbox.with({ $0.popLast() }) else { return false }
    check(seen)
    allocator.endReading(section)
    return true
  }

  // MARK: - In a section

  func look() -> Seen {
    // Acquiring: pairs with the exchange in `replace`.
    let element = Element(address: current.load(ordering: .acquiring))
    return Seen(element: element, generation: element.generation.load())
  }

  func check(_ seen: Seen) {
    histogram[Int(min(seen.element.age.load(), 15))].add(1, ordering: .relaxed)
    if seen.element.generation.load() != seen.generation { changed.add(1, ordering: .relaxed) }
  }
}

/// A thread that reads, each time in another way.
struct TortureReader {
  private let torture: Torture
  private var random: SeededGenerator
  private let cpus = allowedCPUs()

  init(_ torture: Torture, seed: UInt64) {
    self.torture = torture
    random = SeededGenerator(seed: seed)
  }

  mutating func read() {
    let allocator = torture.allocator
    switch random.next() % 32 {
    case 0:
      // Begins on one CPU, reads on another and ends on a third one, if there are so many.
      let section = onOneCPU(cpus.randomElement(using: &random)) { allocator.beginReading() }
      let seen = onOneCPU(cpus.randomElement(using: &random)) { torture.look() }
      onOneCPU(cpus.randomElement(using: &random)) {
        torture.check(seen)
        allocator.endReading(section)
      }
    case 1..<4:
      let section = allocator.beginReading(suspends: true)
      let seen = torture.look()
      torture.mailbox.with { $0.append((section, seen)) }
      if torture.mailbox.with({ $0.count }) > 4 { while torture.closeOne() {} }
    case 4..<8:
      let outer = allocator.beginReading()
      let first = torture.look()
      linger()
      let inner = allocator.beginReading()
      let second = torture.look()
      linger()
      torture.check(first)
      // Which of the two ends first does not matter: the other one keeps the second element as well.
      let isOuterFirst = random.next() % 2 == 0
      allocator.endReading(isOuterFirst ? outer : inner)
      torture.check(second)
      allocator.endReading(isOuterFirst ? inner : outer)
    default:
      let section = allocator.beginReading()
      let seen = torture.look()
      linger()
      torture.check(seen)
      allocator.endReading(section)
    }
  }

  private mutating func linger() {
    let choice = random.next()
    switch choice % 16 {
    case 0: Threads.yield()
    case 1..<8: for _ in 0..<choice >> 32 % 300 { Threads.pause() }
    default: break
    }
  }
}
