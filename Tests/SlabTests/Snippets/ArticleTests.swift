// SPDX-License-Identifier: Apache-2.0
// Articles that list what the sources have are compared with them: a row for every public call in that
// about costs, and in that about errors no line that the process never ends with.

import Foundation
import SlabTestSupport
import Testing

@Suite(.inTurn) struct ArticleTests {
  private static let sources = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../../Sources/Slab").standardized

  /// Types whose members are stored values.
  private static let values = [
    "CounterKind", "EndingPolicy", "LifecycleDesign", "LimitPolicy", "MemoryPolicy",
    "PerCPUMode", "SlabError",
    "SlabStatistics", "Statistics", "Cache", "Snapshot",
  ]
  /// Members that cost nothing worth a row.
  private static let trivial = ["==", "hash", "description"]

  /// "Type.name", or "Type.name async", of every public function, property, initialiser and
  /// subscript.
  static func declaredCalls(in lines: [Substring]) -> Set<String> {
    let type = /^( *)(?:public )?(?:final )?(?:extension|struct|class|enum|protocol) ([\w.]+)/
    let member =
      /^( *)(?:@\w+(?:\([^)]*\))? )*public (?:\w+(?:\(set\))? )*?(func|var|let|init|subscript)\b ?(==|\w*)/
    var calls: Set<String> = []
    var types: [(depth: Int, name: String)] = []
    for (number, line) in lines.enumerated() {
      if let match = line.firstMatch(of: type) {
        types.removeAll { $0.depth >= match.1.count }
        types.append((match.1.count, String(match.2)))
      } else if let match = line.firstMatch(of: member) {
        let owner = types.filter { $0.depth < match.1.count }.map(\.name)
        let kind = String(match.2)
        let name = ["init", "subscript"].contains(kind) ? kind : String(match.3)
        if owner.contains(where: { values.contains($0) }) { continue }
        if trivial.contains(name) { continue }
        calls.insert(
          "\(owner.joined(separator: ".")).\(name)" + (isAsync(lines[number...]) ? " async" : ""))
      }
    }
    return calls
  }

  /// Whether `async` stands behind the parameters of the function that begins here.
  private static func isAsync(_ lines: ArraySlice<Substring>) -> Bool {
    guard lines.first!.contains("func ") else { return false }
    let text = lines.prefix(6).joined(separator: " ")
    var depth = 0
    var place = text.range(of: "func ")!.upperBound
    while place < text.endIndex {
      if text[place] == "(" { depth += 1 }
      if text[place] == ")" { depth -= 1 }
      place = text.index(after: place)
      if depth == 0, text[text.index(before: place)] == ")" { break }
    }
    return text[place...].hasPrefix(" async")
  }

  /// The same, of the rows: a section for each type, names in the first cell.
  static func rows(in lines: [Substring]) -> Set<String> {
    var calls: Set<String> = []
    var type = ""
    for line in lines {
      if line.hasPrefix("## ") { type = String(line.dropFirst(3)) }
      guard line.hasPrefix("| "), let cell = line.dropFirst(2).split(separator: "|").first else {
        continue
      }
      for match in cell.matches(of: /`(\w+)`( async)?/) {
        calls.insert("\(type).\(match.1)\(match.2 ?? "")")
      }
    }
    return calls
  }

  @Test func everyPublicCallHasARow() throws {
    let files = try #require(
      FileManager.default.enumerator(at: Self.sources, includingPropertiesForKeys: nil))
    var declared: Set<String> = []
    for case let file as URL in files where file.pathExtension == "swift" {
      declared.formUnion(Self.declaredCalls(in: try CodeBlocks.lines(of: file)))
    }
    let rows = Self.rows(
      in: try CodeBlocks.lines(of: Self.sources.appending(path: "Slab.docc/Costs.md")))
    #expect(declared.subtracting(rows).sorted() == [], "without a row")
    #expect(rows.subtracting(declared).sorted() == [], "without a declaration")
    #expect(declared.count >= 100)
  }

  /// The article about errors has the lines that end the process: each stands in the sources.
  @Test func everyFatalLineIsOne() throws {
    var sources = ""
    let files = try #require(
      FileManager.default.enumerator(
        at: Self.sources.appending(path: ".."), includingPropertiesForKeys: nil))
    for case let file as URL in files where file.pathExtension == "swift" {
      sources += try String(contentsOf: file, encoding: .utf8)
    }
    let article = try CodeBlocks.lines(
      of: Self.sources.appending(path: "Slab.docc/ErrorsAndContract.md"))
    var count = 0
    for row in article {
      guard row.hasPrefix("| `"), let cell = row.dropFirst(2).split(separator: "|").first else {
        continue
      }
      for match in cell.matches(of: /`([^`]+)`/) {
        count += 1
        // A line that says more is put together.
        let isLine = ["fatal", "line.append"].contains { sources.contains("\($0)(\"\(match.1)\")") }
        #expect(isLine, "no such line: \(match.1)")
      }
    }
    #expect(count >= 14)
  }

  @Test func declarationsAreFound() {
    let calls = Self.declaredCalls(in: [
      "public struct Outer: Sendable {", "  public private(set) var count = 0", "  var hidden = 1",
      "  public struct Inner {", "    public let value: Int", "  }",
      "  @unsafe @inlinable @inline(__always)", "  public func call(",
      "    _ body: () async throws -> Void", "  ) throws(SlabError) -> Int {",
      "  @inlinable public static func run() async {", "}", "extension Outer.Inner {",
      "  public init() {}", "  public subscript(_ index: Int) -> Int { 0 }",
      "  public func wait(", "    _ body: () async -> Void", "  ) async throws(SlabError) -> Int {",
      "  public static func == (left: Inner, right: Inner) -> Bool { true }",
    ])
    #expect(
      calls.sorted() == [
        "Outer.Inner.init", "Outer.Inner.subscript", "Outer.Inner.value",
        "Outer.Inner.wait async",
        "Outer.call", "Outer.count", "Outer.run async",
      ])
  }
}
