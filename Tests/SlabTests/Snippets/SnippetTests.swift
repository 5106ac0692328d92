// Every piece of Swift in the README and in the articles is one that is compiled here: it equals,
// but for its indentation, what stands between `// snippet` and `// end` in a file of this folder.

import Foundation
import SlabTestSupport
import Testing

@Suite(.inTurn) struct SnippetTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
  private static let package = folder.appending(path: "../../..").standardized

  /// The documents: README.md and the articles.
  private static func documents() throws -> [URL] {
    let articles = package.appending(path: "Sources/Slab/Slab.docc")
    let files = try FileManager.default.contentsOfDirectory(
      at: articles, includingPropertiesForKeys: nil)
    return files.filter { $0.pathExtension == "md" } + [package.appending(path: "README.md")]
  }

  /// Blocks of lines from one that `begins` to one that `ends`, without both and without the
  /// indentation that all have.
  private static func blocks(of file: URL, from begins: String, to ends: String) throws -> [String]
  {
    var blocks: [String] = []
    var lines: [Substring]?
    for line in try String(contentsOf: file, encoding: .utf8)
      .split(separator: "\n", omittingEmptySubsequences: false)
    {
      let text = line.trimmingPrefix(while: { $0 == " " })
      if lines == nil {
        if text == begins { lines = [] }
      } else if text == ends {
        blocks.append(unindented(lines!))
        lines = nil
      } else {
        lines!.append(line)
      }
    }
    #expect(lines == nil, "\(file.lastPathComponent): a block without an end")
    return blocks
  }

  private static func unindented(_ lines: [Substring]) -> String {
    let depth = lines.filter { !$0.isEmpty }.map { $0.prefix { $0 == " " }.count }.min() ?? 0
    return lines.map { $0.dropFirst(depth) }.joined(separator: "\n")
  }

  @Test func everySnippetIsCompiled() throws {
    var compiled: Set<String> = []
    for file in try FileManager.default.contentsOfDirectory(
      at: Self.folder, includingPropertiesForKeys: nil)
    {
      compiled.formUnion(try Self.blocks(of: file, from: "// snippet", to: "// end"))
    }
    var count = 0
    for document in try Self.documents() {
      for snippet in try Self.blocks(of: document, from: "```swift", to: "```") {
        count += 1
        #expect(
          compiled.contains(snippet), "\(document.lastPathComponent): not compiled:\n\(snippet)")
      }
    }
    #expect(count >= 20)
  }
}
