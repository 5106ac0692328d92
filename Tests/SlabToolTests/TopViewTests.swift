// SPDX-License-Identifier: Apache-2.0
// The screen of `slab top`: what stands where, at any size, and what keys do.

import Foundation
import SlabTestSupport
import Testing

@testable import SlabTool

private let counters = [
  "groups_live": 3, "groups_dying": 1, "pending_endings": 2, "fences": 40, "fence_batches": 90,
]

private func control(_ groups: [ObservedSnapshot.Group]? = nil) -> TopControl {
  var control = TopControl()
  let groups: [ObservedSnapshot.Group] =
    groups ?? [
      .init("/", 3 << 20), .init("/tenant", 2 << 20, max: 2 << 20),
      .init("/tenant/job", 1 << 20, isOnline: false), .init("/other", 1 << 20),
    ]
  let caches: [ObservedSnapshot.Cache] = [
    .init("session", size: 64, inUse: 1000, total: 1024, slabs: 1 << 16),
    .init("request", size: 512, inUse: 1, total: 8, slabs: 4096),
  ]
  control.take(ObservedSnapshot(groups, caches: caches, counters: counters))
  return control
}

private func screen(_ control: TopControl, _ columns: Int = 80, _ rows: Int = 24) -> [String] {
  var control = control
  return control.screen(columns: columns, rows: rows).map(\.text)
}

private func selected(_ control: TopControl) -> [String] {
  var control = control
  return control.screen(columns: 80, rows: 24).filter { $0.pieces.first?.style == .selected }
    .map(\.text)
}

extension TopControl {
  fileprivate mutating func press(_ text: String) {
    for character in text { handle(.character(character)) }
  }
}

@Suite(.inTurn) struct TopViewTests {
  @Test func eightyColumns() {
    let lines = screen(control())
    #expect(lines.count == 24)
    #expect(lines[0] == "slab top  shop (7)")
    #expect(lines[3].hasPrefix("endings 2 pending  1 groups dying  fences 40 (-/s) for 90 batches"))
    #expect(lines.contains { $0.hasPrefix("GROUP ") && $0.hasSuffix("DYING") && $0.count == 80 })
    #expect(
      lines.contains(
        "  - tenant                       2.0 MiB    2.0 MiB    2.0 MiB          -      -"))
    #expect(lines.contains { $0.hasPrefix("      job (ended)") && $0.hasSuffix("     1") })
    #expect(lines.contains { $0.hasPrefix("request") && $0.contains("3.5 KiB   12 %") })
    #expect(lines.last == "q quit  ? help  / filter  s sort  enter fold  space freeze  tab pane")
    #expect(lines.allSatisfy { TextCell.width($0) <= 80 })
  }

  /// No size is too small: nothing is wider or longer than the terminal.
  @Test func everySize() {
    let control = control()
    for columns in [1, 2, 10, 40, 79, 80, 81, 200] {
      for rows in 0...40 {
        let lines = screen(control, columns, rows)
        #expect(lines.count == rows)
        #expect(lines.allSatisfy { TextCell.width($0) <= columns })
      }
    }
  }

  @Test func barAndScrolling() {
    let groups = (0..<100).map { ObservedSnapshot.Group("/g\($0)", 1000 - $0) }
    var control = control([.init("/", 99_999)] + groups)
    _ = control.screen(columns: 80, rows: 24)
    #expect(selected(control).first?.hasPrefix("- /") == true)
    control.handle(.down)
    control.press("j")
    #expect(selected(control).first?.hasPrefix("    g1 ") == true)
    control.handle(.end)
    #expect(selected(control).first?.hasPrefix("    g99 ") == true)
    control.handle(.pageUp)
    #expect(selected(control).first?.hasPrefix("    g87 ") == true)
    control.press("g")
    #expect(selected(control).first?.hasPrefix("- /") == true)
    // The bar stays on its group when others come.
    control.press("jj")
    control.take(
      ObservedSnapshot([.init("/", 99_999), .init("/new", 5000)] + groups, counters: counters))
    #expect(selected(control).first?.hasPrefix("    g1 ") == true)
    // And is on a row when its group is gone.
    control.handle(.end)
    control.take(ObservedSnapshot([.init("/", 1), .init("/x", 1)], counters: counters))
    #expect(selected(control).count == 1)
  }

  @Test func keys() {
    var control = control()
    control.press("j")
    control.handle(.enter)
    #expect(screen(control).contains { $0.hasPrefix("  + tenant") })
    control.handle(.right)
    #expect(screen(control).contains { $0.hasPrefix("  - tenant") })
    control.press("j")
    control.handle(.left)
    #expect(selected(control).first?.hasPrefix("  - tenant") == true)
    control.handle(.left)
    control.handle(.left)
    #expect(selected(control).first?.hasPrefix("- /") == true)
    control.press("C")
    #expect(control.model.options.folded == ["/tenant"])
    control.press("E")
    #expect(control.model.options.folded == [])
    control.press("sS")
    #expect(control.model.options.groupOrder == .current)
    control.press("S")
    #expect(screen(control).contains { $0.hasPrefix("vGROUP") })
    control.press("r")
    #expect(screen(control).contains { $0.hasPrefix("^GROUP") })
    control.press("d ")
    #expect(screen(control).last?.hasPrefix("dying only  q quit") == true)
    #expect(screen(control)[0].hasSuffix("FROZEN"))
    control.press("z")
    #expect(!screen(control).contains { $0.hasPrefix("CACHE") })
    control.handle(.tab)
    #expect(screen(control).contains { $0.hasPrefix("CACHE") })
    #expect(!screen(control).contains { $0.contains("GROUP") })
    control.press("s?")
    #expect(control.model.options.cacheOrder == .slabs)
    #expect(screen(control)[0] == "slab top: the keys")
    control.press("x")
    #expect(!control.view.isHelpShown && !control.isOver)
    control.press("?q")
    #expect(control.isOver)
  }

  @Test func typingAFilter() {
    var control = control()
    control.press("/Oq")
    #expect(!control.isOver)
    #expect(screen(control).last == "filter: Oq_")
    control.handle(.backspace)
    control.press("ther")
    #expect(screen(control).contains { $0.hasPrefix("    other") })
    #expect(!screen(control).contains { $0.contains("tenant") })
    control.handle(.enter)
    #expect(screen(control).last?.hasPrefix("filter: Other  q quit") == true)
    control.press("/")
    control.handle(.escape)
    #expect(control.model.options.filter == "")
    control.press("/x")
    control.handle(.enter)
    control.handle(.escape)
    #expect(control.model.options.filter == "")
  }

  @Test func widths() {
    #expect(TextCell.width("grün") == 4 && TextCell.width("gru\u{308}n") == 4)
    #expect(TextCell.width("日本") == 4)
    #expect(TextCell.left("日本語", 5) == "日本~" && TextCell.left("日本語", 4) == "日 ~")
    #expect(TextCell.left("abc", 2) == "a~" && TextCell.left("abc", 0) == "")
    #expect(TextCell.right("abc", 5) == "  abc" && TextCell.right("abcdef", 3) == "ab~")
  }

  /// Numbers too come from another process.
  @Test(arguments: [
    Int.min, Int.min + 1, -9_000_000_000_000_000_000, -1, 9_000_000_000_000_000_000, .max,
  ])
  func anyNumber(_ number: Int) throws {
    for other in [number, 1, 0, -1, .min, .max] {
      var control = TopControl()
      for (value, time) in [(number, other), (other, number), (number, .max), (other, .min)] {
        var snapshot = ObservedSnapshot(
          [.init("/", value, max: other), .init("/a", other, isOnline: false, dying: value)],
          caches: [
            .init("a", size: value, inUse: other, total: value, slabs: other),
            .init("b", size: other, inUse: value, total: value, slabs: value),
          ],
          counters: [
            "fences": value, "worker_nanoseconds": value, "charged_bytes": value,
            "groups_live": value,
          ])
        snapshot.monotonicNanoseconds = time
        // As it comes over the socket.
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        let line = String(decoding: try encoder.encode(snapshot), as: UTF8.self)
        control.take(try ObservedSnapshot(line))
        for pane in 0..<2 {
          #expect(control.screen(columns: 80, rows: 24).count == 24, "pane \(pane)")
          control.handle(.tab)
        }
      }
    }
  }

  @Test func theGreatestNumbers() {
    #expect(TopTables.rate(1e300) == "+8,589,934,592.0 GiB")
    #expect(TopTables.rate(-1e300) == "-8,589,934,592.0 GiB")
    #expect(TopTables.rate(-2048) == "-2.0 KiB" && TopTables.rate(0.4) == "0 B")
    let cache = ObservedSnapshot.Cache("c", size: .max, inUse: 2, total: 2, slabs: 4096)
    #expect(cache.waste == 0)
  }

  /// Names come from another process, which may be anyone's.
  @Test func namesAreNotObeyed() throws {
    var control = TopControl()
    let evil = "\u{1B}[2J\u{9B}1m\u{202E}\u{7}\n"
    var snapshot = ObservedSnapshot(
      [.init("/" + evil, 1)], caches: [.init(evil, size: 1, inUse: 1, total: 1, slabs: 1)])
    snapshot.process?.name = evil
    control.take(snapshot)
    control.press("/" + evil)
    control.view.message = ObservationError.refused(evil).description
    for _ in 0..<2 {
      let lines = control.screen(columns: 80, rows: 24).map { $0.rendered(.text) }
      #expect(lines.contains { $0.contains("?[2J?1m???") })
      for scalar in lines.joined().unicodeScalars {
        let isControl = scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
        #expect(!isControl && scalar != "\u{202E}")
      }
      control.view.filterDraft = nil
    }
    #expect(!control.text(columns: 80).unicodeScalars.contains("\u{1B}"))
  }

  @Test func looks() {
    func look(_ environment: [String: String], _ isTerminal: Bool = true) -> TerminalLook {
      TerminalLook(environment: environment, isTerminal: isTerminal)
    }
    #expect(look(["TERM": "xterm"]) == .colours)
    #expect(look(["TERM": "xterm", "NO_COLOR": ""]) == .colours)
    #expect(look(["TERM": "xterm", "NO_COLOR": "1"]) == .monochrome)
    #expect(look(["TERM": "dumb"]) == .text && look([:]) == .text)
    #expect(look(["TERM": "xterm"], false) == .text)
    var line = TopLine("a", .alarm)
    line.add("b")
    #expect(line.rendered(.colours) == "\u{1B}[1;31ma\u{1B}[0mb")
    #expect(line.rendered(.monochrome) == "\u{1B}[1ma\u{1B}[0mb")
    #expect(line.rendered(.text) == "ab")
    // No colour: the digits 3 and 4 begin none.
    for style in [TopLine.Style.plain, .title, .heading, .selected, .faint, .warning, .alarm] {
      let text = TopLine("x", style).rendered(.monochrome)
      #expect(!text.contains("[3") && !text.contains(";3") && !text.contains("[4"))
    }
  }

  @Test func keysFromBytes() {
    func keys(_ text: String) -> [TopKey] {
      var bytes = Array(text.utf8)
      defer { #expect(bytes == []) }
      return TopKey.take(from: &bytes)
    }
    #expect(keys("\u{1B}[A\u{1B}OB\u{1B}[5~q") == [.up, .down, .pageUp, .character("q")])
    #expect(keys("\u{1B}") == [.escape] && keys("\u{1B}x") == [.escape, .character("x")])
    #expect(keys("\u{1B}[99;5Zx") == [.character("x")] && keys("\u{1B}[") == [])
    #expect(keys("ü\r\t\u{7F}\u{C}") == [.character("ü"), .enter, .tab, .backspace, .control("L")])
    var half: [UInt8] = [0x61, 0xC3]
    #expect(TopKey.take(from: &half) == [.character("a")] && half == [0xC3])
    half.append(0xBC)
    #expect(TopKey.take(from: &half) == [.character("ü")] && half == [])
    var garbage: [UInt8] = [0xFF, 0xFE, 0xFD, 0xFC, 0x80, 0x00]
    #expect(TopKey.take(from: &garbage).count > 0 && garbage == [])
  }
}
