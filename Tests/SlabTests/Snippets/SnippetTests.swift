// SPDX-License-Identifier: Apache-2.0
// Every piece of Swift in a text for readers is compiled, and run, by a test in this folder: it equals,
// but for its indentation, what stands there between `// snippet` and `// end`. The texts are all files
// in Markdown and the documentation comments of the library.

import Foundation
import SlabTestSupport
import Testing

@Suite(.inTurn) struct SnippetTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
  private static let package = folder.appending(path: "../../..").standardized

  /// The files below some folders that have an ending.
  private static func files(below folders: [String], ending: String) throws -> [URL] {
    var files: [URL] = []
    for folder in folders {
      let folder = package.appending(path: folder)
      let all = try #require(
        FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
      for case let file as URL in all
      where file.pathExtension == ending && !file.path.contains("/.build/") { files.append(file) }
    }
    return files
  }

  /// The pieces of all texts, each with the place that it stands in; and the problems.
  private static func readTexts() throws -> (swift: [(text: String, code: String)], [String]) {
    var swift: [(text: String, code: String)] = []
    var problems: [String] = []
    func add(_ blocks: CodeBlocks, _ file: URL) {
      let name = file.lastPathComponent
      swift += blocks.swift.map { (name, $0) }
      problems += blocks.problems.map { "\(name): \($0)" }
    }
    let documents = try files(
      below: ["docs", "Model", "Benchmarks", "Examples", "Sources"], ending: "md")
    for file in documents + [package.appending(path: "README.md")] {
      add(CodeBlocks(in: try CodeBlocks.lines(of: file)), file)
    }
    for file in try files(below: ["Sources/Slab"], ending: "swift") {
      for comment in CodeBlocks.comments(in: try CodeBlocks.lines(of: file)) {
        add(CodeBlocks(in: comment, readsIndentedCode: true), file)
      }
    }
    return (swift, problems)
  }

  @Test func everySnippetIsCompiled() throws {
    var compiled: Set<String> = []
    for file in try Self.files(below: ["Tests/SlabTests/Snippets"], ending: "swift") {
      let snippets = CodeBlocks.snippets(in: try CodeBlocks.lines(of: file))
      compiled.formUnion(
        try #require(snippets, "\(file.lastPathComponent): a snippet without an end"))
    }
    let (shown, problems) = try Self.readTexts()
    #expect(problems == [])
    for (text, code) in shown where !compiled.contains(code) {
      Issue.record("\(text): not compiled:\n\(code)")
    }
    // What nobody is shown any more goes.
    for code in compiled.subtracting(shown.map(\.code)) {
      Issue.record("compiled, and in no text:\n\(code)")
    }
    #expect(shown.count >= 50)
  }

  @Test(arguments: ["swift", "c", "cpp", "sh", "text"])
  func aFenceIsReadByItsLanguage(_ language: String) {
    let blocks = CodeBlocks(in: ["text", "```\(language)", "  let one = 1", "```", "text"])
    #expect(blocks.swift == (language == "swift" ? ["let one = 1"] : []))
    #expect(blocks.problems == [])
  }

  @Test(arguments: [
    "``` swift", "```swift ", "```", "````swift", "```Swift", "```swift x", "~~~swift", "```json",
  ])
  func otherFencesAreProblems(_ fence: String) {
    #expect(CodeBlocks(in: [Substring(fence), "let one = 1", "```"]).problems.count == 1)
  }

  @Test(arguments: ["``` ", "````", "~~~", "  ```"])
  func otherEndsAreProblems(_ end: String) {
    #expect(CodeBlocks(in: ["```swift", "let one = 1", Substring(end)]).problems.count == 1)
  }

  @Test func aFenceWithoutAnEndIsAProblem() {
    #expect(CodeBlocks(in: ["```swift", "let one = 1"]).problems.count == 1)
  }

  @Test func indentedCodeIsReadInComments() {
    let comments = CodeBlocks.comments(in: [
      "/// A cache.", "///", "///     let one = 1", "///", "///     let two = 2", "///",
      "/// More.",
      "struct S {", "  /// ```swift", "  /// let three = 3", "  /// ```",
      "  /// - Parameter p: long",
      "  ///     text that goes on.", "  func f() {}", "}",
    ])
    let blocks = comments.map { CodeBlocks(in: $0, readsIndentedCode: true) }
    #expect(
      blocks.map(\.swift) == [["let one = 1\n\nlet two = 2"], ["let three = 3"]])
    #expect(blocks.allSatisfy { $0.problems.isEmpty })
    #expect(CodeBlocks(in: ["Text.", "", "    let one = 1"]).problems.count == 1)
  }
}
