// SPDX-License-Identifier: Apache-2.0
// Every sequence of operations on a heap of eight pages, against a model of a bit per page.
//
// States that were met before are not entered again: what can follow from them has been tried. So
// the walk covers all sequences up to its depth, by far more than could be run one by one.

import SlabPlatform
import SlabTestSupport
import Testing

@testable import SlabCore

@Suite(.inTurn) struct PageExhaustiveTests {
  @Test func eightPages() throws {
    try withPages(chunks: 1) { fixture in
      // All of the chunk but its last eight pages is another user's.
      for order in (5..<12).reversed() { try #require(fixture.allocate(order: order) != nil) }
      var walk = Walk(fixture: fixture)
      walk.run(depth: 12)
      // The walk has been somewhere.
      #expect(walk.steps > 20_000)
      print("page runs: \(walk.statesMet) states, \(walk.steps) steps, \(walk.depthReached) deep")
    }
  }
}

/// What a page of the eight is in the model.
private enum Page: Equatable {
  case clean
  case dirty
  case used(run: Int)
}

private struct Walk {
  let fixture: PageFixture
  private(set) var steps = 0
  private(set) var statesMet = 0
  private(set) var depthReached = 0
  private var met: Set<[UInt64]> = []

  /// A state of the allocator, byte for byte, with the model that belongs to it.
  private struct State {
    var words: [UInt64]
    var fields: [UInt8]
    var model: [Page]
    var runs: [(unit: Int, order: Int)]
  }

  private static let firstUnit = 4096 - 32
  /// More are not walked; the depth that was reached is printed.
  private static let mostSteps = 30_000

  init(fixture: PageFixture) { self.fixture = fixture }

  mutating func run(depth: Int) {
    let start = save(model: Array(repeating: .clean, count: 8), runs: [])
    met.insert(key(of: start))
    var level = [start]
    for step in 1...depth {
      var next: [State] = []
      for state in level {
        if steps > Self.mostSteps { return }
        next += successors(of: state)
      }
      if next.isEmpty { return }
      depthReached = step
      level = next
    }
  }

  private mutating func successors(of state: State) -> [State] {
    var found: [State] = []
    func keep(_ new: State) {
      if met.insert(key(of: new)).inserted { found.append(new) }
    }
    for order in 2...5 { keep(allocate(order: order, from: state)) }
    for index in state.runs.indices { keep(free(index, from: state)) }
    for keeping in [0, 2] { keep(giveBack(keeping: keeping, from: state)) }
    steps += 6 + state.runs.count
    statesMet = met.count
    return found
  }

  // MARK: - Steps

  private func allocate(order: Int, from state: State) -> State {
    restore(state)
    var (model, runs) = (state.model, state.runs)
    let pages = 1 << (order - 2)
    let unit = fixture.allocate(order: order)
    let dirty = blocks(of: .dirty, pages: pages, in: model)
    let candidates = dirty.isEmpty ? blocks(of: .clean, pages: pages, in: model) : dirty
    #expect((unit == nil) == candidates.isEmpty)
    if let unit {
      let first = (unit - Self.firstUnit) / 4
      #expect(candidates.contains(first))
      let number = (0...8).first { number in !model.contains(.used(run: number)) }!
      for page in first..<first + pages { model[page] = .used(run: number) }
      runs.append((unit, order))
    }
    return check(model: model, runs: runs)
  }

  private func free(_ index: Int, from state: State) -> State {
    restore(state)
    var (model, runs) = (state.model, state.runs)
    let run = runs.remove(at: index)
    fixture.free(run.unit, order: run.order)
    let first = (run.unit - Self.firstUnit) / 4
    for page in first..<first + 1 << (run.order - 2) { model[page] = .dirty }
    return check(model: model, runs: runs)
  }

  /// Which of the largest runs goes first is the allocator's choice: the model takes over what the
  /// words say, after it has checked how many may be left.
  private func giveBack(keeping: Int, from state: State) -> State {
    restore(state)
    let before = state.model.count { $0 == .dirty }
    fixture.giveBack(keeping: keeping)
    let after = fixture.figures.dirty
    #expect(after <= max(keeping, 0) || before <= keeping)
    #expect(before > keeping || after == before)
    var model = state.model
    let isDirty = dirtyPages()
    for page in 0..<8 {
      switch model[page] {
      case .dirty: if !isDirty[page] { model[page] = .clean }
      case .clean, .used: #expect(!isDirty[page])
      }
    }
    return check(model: model, runs: state.runs)
  }

  /// First pages of the aligned blocks that are all of one kind.
  private func blocks(of kind: Page, pages: Int, in model: [Page]) -> [Int] {
    stride(from: 0, to: 8, by: pages).filter { first in
      model[first..<first + pages].allSatisfy { $0 == kind }
    }
  }

  private func check(model: [Page], runs: [(unit: Int, order: Int)]) -> State {
    fixture.expectWhole()
    let figures = fixture.figures
    #expect(figures.dirty == model.count { $0 == .dirty })
    #expect(figures.clean == model.count { $0 == .clean })
    #expect(figures.used + figures.dirty + figures.clean == 1024)
    return save(model: model, runs: runs)
  }

  /// Which pages the free runs in the map say are dirty.
  private func dirtyPages() -> [Bool] {
    var dirty = [Bool](repeating: false, count: 8)
    for unit in stride(from: Self.firstUnit, to: 4096, by: 4) {
      let word = fixture.map.words[unit]
      guard UnitMap.isFree(word), UnitMap.isDirty(word) else { continue }
      let first = (unit - Self.firstUnit) / 4
      for page in first..<first + 1 << (UnitMap.order(word) - 2) { dirty[page] = true }
    }
    return dirty
  }

  // MARK: - Saving and restoring

  private func save(model: [Page], runs: [(unit: Int, order: Int)]) -> State {
    let words = (Self.firstUnit..<4096).map { fixture.map.words[$0] }
    // SAFETY: the allocator's own bytes, which hold no reference to anything that moves.
    let fields = unsafe Array(
      UnsafeRawBufferPointer(
        start: fixture.pages.unsafePointer, count: MemoryLayout<PageAllocator>.size))
    return State(words: words, fields: fields, model: model, runs: runs)
  }

  private func restore(_ state: State) {
    for (index, word) in state.words.enumerated() {
      fixture.map.words[Self.firstUnit + index] = word
    }
    // SAFETY: as in `save`; nobody else uses the allocator.
    unsafe UnsafeMutableRawPointer(fixture.pages.unsafePointer).copyMemory(
      from: state.fields, byteCount: state.fields.count)
  }

  /// What decides about the future: the map, which has the lists' links in it, the lists' heads,
  /// and which runs are in use.
  private func key(of state: State) -> [UInt64] {
    restore(state)
    var key = state.words
    for order in 0...12 {
      key.append(UInt64(fixture.pages.pointee.dirtyHeads[order]))
      key.append(UInt64(fixture.pages.pointee.cleanHeads[order]))
    }
    for run in state.runs.sorted(by: { $0.unit < $1.unit }) {
      key.append(UInt64(run.unit) << 8 | UInt64(run.order))
    }
    return key
  }
}
