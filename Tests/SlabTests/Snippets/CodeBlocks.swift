// SPDX-License-Identifier: Apache-2.0
// The pieces of code in a text in Markdown, and what is wrong with the way in which they are marked.

import Foundation

struct CodeBlocks {
  /// The fences that there are. "sh" and "text" are not looked at; "c" and "cpp" are compiled by Tests/CLibrary/run.
  static let languages = ["swift", "c", "cpp", "sh", "text"]

  private(set) var swift: [String] = []
  private(set) var problems: [String] = []

  private let readsIndentedCode: Bool
  private var open: (indentation: Int, language: String, lines: [Substring])?
  private var indented: [Substring] = []
  private var isAfterBlank = true

  /// - Parameter readsIndentedCode: whether lines behind a blank one that are indented by four are a
  ///   piece of Swift, as in comments; else they are a problem.
  init(in lines: [Substring], readsIndentedCode: Bool = false) {
    self.readsIndentedCode = readsIndentedCode
    for line in lines { read(line) }
    endIndented()
    if open != nil { problems.append("a fence without an end") }
  }

  private mutating func read(_ line: Substring) {
    let text = line.drop { $0 == " " }
    if open != nil {
      readFenced(line, text: text)
    } else if text.hasPrefix("```") || text.hasPrefix("~~~") {
      endIndented()
      let language = String(text.dropFirst(3))
      if !text.hasPrefix("```") || !Self.languages.contains(language) {
        problems.append("not one of the fences: \(text.debugDescription)")
      }
      open = (line.count - text.count, language, [])
    } else if text.allSatisfy({ $0 == " " }) {
      if !indented.isEmpty { indented.append("") }
      isAfterBlank = true
    } else if line.hasPrefix("    "), isAfterBlank || !indented.isEmpty {
      if !readsIndentedCode, indented.isEmpty { problems.append("indented code: \(text)") }
      indented.append(line)
    } else {
      endIndented()
      isAfterBlank = false
    }
  }

  private mutating func readFenced(_ line: Substring, text: Substring) {
    if text.hasPrefix("```") || text.hasPrefix("~~~") {
      if text != "```" || line.count - text.count != open!.indentation {
        problems.append("not the end of a fence: \(line.debugDescription)")
      }
      if open!.language == "swift" { swift.append(Self.unindented(open!.lines)) }
      open = nil
      isAfterBlank = true
    } else {
      open!.lines.append(line)
    }
  }

  private mutating func endIndented() {
    while indented.last?.isEmpty == true { indented.removeLast() }
    if !indented.isEmpty, readsIndentedCode { swift.append(Self.unindented(indented)) }
    indented = []
  }

  /// Without the indentation that all lines have.
  static func unindented(_ lines: [Substring]) -> String {
    let depth = lines.filter { !$0.isEmpty }.map { $0.prefix { $0 == " " }.count }.min() ?? 0
    return lines.map { $0.dropFirst(depth) }.joined(separator: "\n")
  }
}

extension CodeBlocks {
  static func lines(of file: URL) throws -> [Substring] {
    try String(contentsOf: file, encoding: .utf8)
      .split(separator: "\n", omittingEmptySubsequences: false)
  }

  /// The texts of the documentation comments in a source file.
  static func comments(in lines: [Substring]) -> [[Substring]] {
    var comments: [[Substring]] = []
    var comment: [Substring] = []
    for line in lines {
      let text = line.drop { $0 == " " }
      if text.hasPrefix("///") {
        let body = text.dropFirst(3)
        comment.append(body.hasPrefix(" ") ? body.dropFirst() : body)
      } else if !comment.isEmpty {
        comments.append(comment)
        comment = []
      }
    }
    if !comment.isEmpty { comments.append(comment) }
    return comments
  }

  /// What stands between `// snippet` and `// end` in a source file; `nil` if one has no end.
  static func snippets(in lines: [Substring]) -> [String]? {
    var snippets: [String] = []
    var open: [Substring]?
    for line in lines {
      let text = line.drop { $0 == " " }
      if open == nil {
        if text == "// snippet" { open = [] }
      } else if text == "// end" {
        snippets.append(unindented(open!))
        open = nil
      } else {
        open!.append(line)
      }
    }
    return open == nil ? snippets : nil
  }
}
