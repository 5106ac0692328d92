// SPDX-License-Identifier: Apache-2.0
// A parser of JSON, without escapes in texts, for requests of at most 64 levels.

import Slab

enum ParseError: Error, Equatable {
  case unexpected(at: Int)
  case tooDeep(at: Int)
}

@unsafe
struct Parser {
  let source: [UInt8]
  let nodes: SlabCache<Node>
  let group: MemoryGroup
  private(set) var nodeCount = 0
  private var place = 0

  init(source: [UInt8], nodes: SlabCache<Node>, group: MemoryGroup) {
    unsafe self.source = source
    unsafe self.nodes = nodes
    unsafe self.group = group
  }

  mutating func parseDocument() throws -> UnsafeMutablePointer<Node> {
    let root = try unsafe parseValue(depth: 0)
    unsafe skipBlanks()
    guard unsafe place == source.count else { throw unsafe ParseError.unexpected(at: place) }
    return unsafe root
  }

  private mutating func make(_ node: Node) throws(SlabError) -> UnsafeMutablePointer<Node> {
    unsafe nodeCount += 1
    return unsafe try nodes.allocate(node, in: group).leak()
  }

  private mutating func skipBlanks() {
    while unsafe place < source.count && source[place] <= 0x20 { unsafe place += 1 }
  }

  private mutating func peek() throws -> UInt8 {
    unsafe skipBlanks()
    guard unsafe place < source.count else { throw unsafe ParseError.unexpected(at: place) }
    return unsafe source[place]
  }

  private mutating func expect(_ byte: Character) throws {
    guard try unsafe peek() == byte.asciiValue else {
      throw unsafe ParseError.unexpected(at: place)
    }
    unsafe place += 1
  }

  private mutating func parseValue(depth: Int) throws -> UnsafeMutablePointer<Node> {
    guard depth < 64 else { throw unsafe ParseError.tooDeep(at: place) }
    switch try unsafe peek() {
    case UInt8(ascii: "["): return try unsafe parseElements(.list, "[", "]", depth: depth)
    case UInt8(ascii: "{"): return try unsafe parseElements(.object, "{", "}", depth: depth)
    case UInt8(ascii: "\""): return try unsafe make(Node(kind: .text, text: parseText()))
    case UInt8(ascii: "t"): return try unsafe parseWord("true", Node(kind: .bool, number: 1))
    case UInt8(ascii: "f"): return try unsafe parseWord("false", Node(kind: .bool))
    case UInt8(ascii: "n"): return try unsafe parseWord("null", Node(kind: .null))
    default: return try unsafe make(Node(kind: .number, number: parseNumber()))
    }
  }

  private mutating func parseElements(
    _ kind: Node.Kind, _ open: Character, _ close: Character, depth: Int
  ) throws -> UnsafeMutablePointer<Node> {
    try unsafe expect(open)
    let list = try unsafe make(Node(kind: kind))
    var last: UnsafeMutablePointer<Node>?
    while try unsafe peek() != close.asciiValue {
      if unsafe last != nil { try unsafe expect(",") }
      var key = 0..<0
      if kind == .object {
        key = try unsafe parseText()
        try unsafe expect(":")
      }
      let element = try unsafe parseValue(depth: depth + 1)
      unsafe element.pointee.key = key
      if let last = unsafe last {
        unsafe last.pointee.next = element
      } else {
        unsafe list.pointee.first = element
      }
      unsafe last = element
      unsafe list.pointee.number += 1
    }
    unsafe place += 1
    return unsafe list
  }

  private mutating func parseText() throws -> Range<Int> {
    try unsafe expect("\"")
    let start = unsafe place
    while unsafe place < source.count && source[place] != UInt8(ascii: "\"") {
      unsafe place += 1
    }
    guard unsafe place < source.count else { throw unsafe ParseError.unexpected(at: place) }
    unsafe place += 1
    return unsafe start..<place - 1
  }

  private mutating func parseWord(
    _ word: String, _ node: Node
  ) throws -> UnsafeMutablePointer<Node> {
    guard unsafe source[place...].starts(with: word.utf8) else {
      throw unsafe ParseError.unexpected(at: place)
    }
    unsafe place += word.utf8.count
    return unsafe try make(node)
  }

  private mutating func parseNumber() throws -> Double {
    let start = unsafe place
    while unsafe place < source.count && "+-.eE0123456789".utf8.contains(source[place]) {
      unsafe place += 1
    }
    let text = unsafe String(decoding: source[start..<place], as: UTF8.self)
    guard let number = Double(text) else { throw ParseError.unexpected(at: start) }
    return number
  }
}
