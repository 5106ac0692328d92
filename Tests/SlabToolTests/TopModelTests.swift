// SPDX-License-Identifier: Apache-2.0
// The rows of `slab top`: tree, order, filter, folding, rates.

import SlabTestSupport
import Testing

@testable import SlabTool

private let shop: [ObservedSnapshot.Group] = [
  .init("/", 1000), .init("/a", 700, max: 900, dying: 1), .init("/a/x", 400, peak: 900),
  .init("/a/y", 100, max: 500), .init("/a/gone", 50, isOnline: false), .init("/b", 200, peak: 300),
  .init("/b/x", 200), .init("/c", 0),
]

private func model(_ groups: [ObservedSnapshot.Group] = shop) -> TopModel {
  var model = TopModel()
  model.take(ObservedSnapshot(groups))
  return model
}

/// Labels, indented as they are shown.
private func labels(_ model: TopModel) -> [String] {
  model.groupRows.map { String(repeating: " ", count: $0.depth) + $0.label }
}

@Suite(.inTurn) struct TopModelTests {
  @Test func aTree() {
    #expect(labels(model()) == ["/", " a", "  x", "  y", "  gone", " b", "  x", " c"])
    let rows = model().groupRows
    #expect(rows.map(\.hasChildren) == [true, true, false, false, false, true, false, false])
    #expect(rows.map(\.isEnded) == [false, false, false, false, true, false, false, false])
    #expect(rows.map(\.dying) == [0, 1, 0, 0, 1, 0, 0, 0])
    #expect(TopModel().groupRows == [])
  }

  /// The order of the snapshot is of no account, and a group whose parent is missing stands below the next one above.
  @Test func piecesOfATree() {
    #expect(labels(model(shop.reversed())) == labels(model()))
    #expect(
      labels(model([.init("/", 9), .init("/a/b/c", 5), .init("/a/b/c/d", 4)]))
        == ["/", " a/b/c", "  d"])
    // Without the root group, as below a group.
    #expect(labels(model([.init("/a", 9), .init("/a/x", 5)])) == ["/a", " x"])
    #expect(labels(model([.init("/ab", 9), .init("/a", 5)])) == ["/ab", "/a"])
  }

  /// For Swift a slash and a mark behind it are one character, and so are some letters and a slash behind them.
  @Test func namesThatJoinASlash() {
    let (mark, joining) = ("\u{301}x", "a\u{D4E}")
    let groups: [ObservedSnapshot.Group] = [
      .init("/", 9), .init("/\(mark)", 5), .init("/\(mark)/\(mark)", 4),
      .init("/\(joining)", 3), .init("/\(joining)/b", 2),
    ]
    #expect(labels(model(groups)) == ["/", " \(mark)", "  \(mark)", " \(joining)", "  b"])
  }

  /// For Swift these names are equal; to the library they are two.
  @Test func namesThatSwiftHoldsForEqual() {
    let (one, two) = ("/\u{e9}", "/e\u{301}")
    var model = model([
      .init("/", 9), .init(one, 5), .init(one + "/x", 4), .init(two, 3), .init(two + "/y", 2),
    ])
    #expect(
      labels(model).map { Array($0.utf8) }
        == [
          "/", " \u{e9}", "  x", " e\u{301}", "  y",
        ].map { Array($0.utf8) })
    model.toggleFold(ByteString(two))
    #expect(model.groupRows.count == 4)
  }

  /// Groups that have ended may have the path of another one.
  @Test func onePathForSeveral() {
    let groups: [ObservedSnapshot.Group] = [
      .init("/", 9), .init("/a", 3, isOnline: false), .init("/a", 2), .init("/a/x", 1),
      .init("/a", 1, isOnline: false),
    ]
    let model = model(groups)
    #expect(labels(model) == ["/", " a", " a", "  x", " a"])
    #expect(model.groupRows.map(\.isEnded) == [false, true, false, false, true])
    #expect(Set(model.groupRows.map(\.key)).count == 5)
  }

  @Test(arguments: [
    (GroupOrder.current, ["/", " a", "  x", "  y", "  gone", " b", "  x", " c"]),
    (.peak, ["/", " a", "  x", "  y", "  gone", " b", "  x", " c"]),
    (.max, ["/", " a", "  y", "  gone", "  x", " b", "  x", " c"]),
    (.dying, ["/", " a", "  gone", "  x", "  y", " b", "  x", " c"]),
    (.name, ["/", " a", "  gone", "  x", "  y", " b", "  x", " c"]),
  ])
  func orders(_ order: GroupOrder, _ expected: [String]) {
    var model = model()
    model.options.groupOrder = order
    #expect(labels(model) == expected)
  }

  @Test func theOtherWayRound() {
    var model = model()
    model.options.isReversed = true
    #expect(labels(model) == ["/", " c", " b", "  x", " a", "  gone", "  y", "  x"])
  }

  @Test func folding() {
    var model = model()
    model.toggleFold("/a")
    #expect(labels(model) == ["/", " a", " b", "  x", " c"])
    #expect(model.groupRows[1].isFolded && !model.groupRows[0].isFolded)
    // What is below nothing cannot be folded, nor what is not there.
    model.toggleFold("/c")
    model.toggleFold("/nowhere")
    #expect(model.options.folded == ["/a"])
    model.foldAll()
    #expect(labels(model) == ["/", " a", " b", " c"])
    model.toggleFold("/a")
    model.toggleFold("/b")
    #expect(labels(model).count == 8)
    model.toggleFold("/")
    #expect(labels(model) == ["/"])
    #expect(model.parentKey(of: "/a/x") == "/a" && model.parentKey(of: "/") == nil)
    // A group that is gone is not kept, and one that stays stays folded.
    model.options.folded = ["/a", "/b"]
    model.take(ObservedSnapshot([.init("/", 1), .init("/b", 1), .init("/b/x", 1)], seconds: 2))
    #expect(model.options.folded == ["/b"])
  }

  @Test func filters() {
    var model = model()
    model.options.filter = "X"
    #expect(labels(model) == ["/", " a", "  x", " b", "  x"])
    // What is found is shown, folded or not.
    model.toggleFold("/a")
    #expect(labels(model) == ["/", " a", "  x", " b", "  x"])
    model.options.filter = "nothing of this"
    #expect(labels(model) == [])
    model.options.filter = ""
    model.options.onlyDying = true
    #expect(labels(model) == ["/", " a", "  gone"])
    model.options.filter = "b"
    #expect(labels(model) == [])
  }

  @Test func rates() {
    var model = model()
    #expect(model.groupRows.allSatisfy { $0.rate == nil })
    let next: [ObservedSnapshot.Group] = [
      .init("/", 1400), .init("/a", 700), .init("/a/x", 200), .init("/new", 5),
    ]
    model.take(ObservedSnapshot(next, seconds: 3, counters: ["fences": 10, "groups_live": 5]))
    #expect(model.groupRows.map(\.rate) == [200, 0, -100, nil])
    #expect(model.counterRates == ["fences": 5])
    model.options.groupOrder = .rate
    #expect(labels(model) == ["/", " a", "  x", " new"])
    // The clock does not run backwards, and another process has nothing in common with this one.
    model.take(ObservedSnapshot(next, seconds: 3))
    #expect(model.groupRows.allSatisfy { $0.rate == nil } && model.counterRates == [:])
    model.take(ObservedSnapshot(next, seconds: 9, process: 8))
    #expect(model.groupRows.allSatisfy { $0.rate == nil })
  }

  @Test func caches() {
    var model = TopModel()
    let caches: [ObservedSnapshot.Cache] = [
      .init("small", size: 8, inUse: 512, total: 512, slabs: 4096),
      .init("half", size: 1024, inUse: 2, total: 4, slabs: 4096),
      .init("large", size: 4096, inUse: 2, total: 2, slabs: 8192),
      .init("core", size: 100, inUse: 99, total: 50, slabs: 4096),
    ]
    model.take(ObservedSnapshot([], caches: caches))
    #expect(model.cacheRows.map(\.name) == ["half", "core", "large", "small"])
    #expect(model.cacheRows.map(\.waste) == [2048, 0, 0, 0])
    model.options.cacheOrder = .objects
    #expect(model.cacheRows.first?.name == "small")
    model.options.cacheOrder = .slabs
    model.options.isReversed = true
    #expect(model.cacheRows.last?.name == "large")
    model.options.filter = "l"
    #expect(model.cacheRows.count == 4)
    model.options.pane = .caches
    #expect(model.cacheRows.map(\.name) == ["small", "half", "large"])
  }

  /// A tree as deep as paths can be, and as wide as an answer.
  @Test func large() {
    let deep = (1...2000).map { ObservedSnapshot.Group(String(repeating: "/g", count: $0), 1) }
    #expect(model([.init("/", 1)] + deep).groupRows.last?.depth == 2000)
    let wide = (0..<10_000).map { ObservedSnapshot.Group("/g\($0)", $0) }
    #expect(model([.init("/", 1)] + wide).groupRows.count == 10_001)
  }
}
