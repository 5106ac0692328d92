// SPDX-License-Identifier: Apache-2.0

/// The lines of a request up to the empty one. The monitor reads nothing behind them.
struct RequestHead: Equatable {
  let method: String
  /// As it was sent, without the query.
  let path: String
  let query: [String: String]
  /// By names in lower case. Of a repeated one that must not be repeated there is no request.
  let headers: [String: String]

  /// Where the empty line of a head ends, in what was read so far; `nil` for not yet.
  static func end(in bytes: [UInt8], from start: Int) -> Int? {
    var index = max(start - 3, 0)
    while index < bytes.count {
      if bytes[index] == UInt8(ascii: "\n") {
        var next = index + 1
        if next < bytes.count, bytes[next] == UInt8(ascii: "\r") { next += 1 }
        if next < bytes.count, bytes[next] == UInt8(ascii: "\n") { return next + 1 }
      }
      index += 1
    }
    return nil
  }

  /// `nil` for what is no head of a request in HTTP/1.
  init?(_ bytes: ArraySlice<UInt8>) {
    guard bytes.allSatisfy({ $0 < 0x80 }) else { return nil }
    let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map {
      String(decoding: $0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0, as: UTF8.self)
    }
    let words = lines[0].split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 3, words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0",
      !words[0].isEmpty, words[0].utf8.allSatisfy({ (0x41...0x5A).contains($0) }),
      words[1].utf8.first == UInt8(ascii: "/"),
      words[1].utf8.allSatisfy({ (0x21...0x7E).contains($0) })
    else { return nil }
    method = String(words[0])
    let target = words[1].split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    path = String(target[0])
    var query: [String: String] = [:]
    for item in target.count > 1 ? target[1].split(separator: "&") : [] {
      let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = Self.decoded(parts[0]),
        let value = Self.decoded(parts.count > 1 ? parts[1] : "")
      else { return nil }
      query[name] = value
    }
    self.query = query
    var headers: [String: String] = [:]
    for line in lines.dropFirst() where !line.isEmpty {
      let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty,
        parts[0].utf8.allSatisfy({ (0x21...0x7E).contains($0) })
      else { return nil }
      let name = parts[0].lowercased()
      let value = String(parts[1].trimmed)
      if let before = headers[name] {
        guard name == "accept" else {
          if ["host", "authorization", "content-length", "transfer-encoding"].contains(name) {
            return nil
          }
          continue
        }
        headers[name] = "\(before),\(value)"
      } else {
        headers[name] = value
      }
    }
    self.headers = headers
  }

  /// Whether something comes behind the head.
  var hasBody: Bool {
    headers["transfer-encoding"] != nil || (headers["content-length"] ?? "0") != "0"
  }

  /// Without the percent signs of a URL; `nil` where they are wrong.
  private static func decoded(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "%") {
        let digits = Substring(rest.prefix(2))
        guard digits.utf8.count == 2, digits.allSatisfy(\.isHexDigit),
          let value = UInt8(digits, radix: 16)
        else { return nil }
        bytes.append(value)
        rest = rest.dropFirst(2)
      } else {
        bytes.append(byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }
}

extension Substring {
  /// Without blanks and tabs at both ends.
  var trimmed: Substring {
    var rest = self
    while let first = rest.first, first == " " || first == "\t" { rest.removeFirst() }
    while let last = rest.last, last == " " || last == "\t" { rest.removeLast() }
    return rest
  }
}
