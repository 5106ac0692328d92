// SPDX-License-Identifier: Apache-2.0
internal import FoundationEssentials

/// An answer, whole.
struct Response: Sendable {
  var status = "200 OK"
  var type = "text/plain; charset=utf-8"
  var headers: [String] = []
  var body = Data()

  init(_ type: String, _ body: Data) {
    self.type = type
    self.body = body
  }

  /// A refusal, which says in its body why.
  init(_ status: String, _ why: String?, headers: [String] = []) {
    self.status = status
    self.headers = headers
    if let why { body = Data("\(why)\n".utf8) }
  }

  /// The bytes to send; to `HEAD` without the body. A connection serves one request.
  func encoded(withoutBody: Bool) -> Data {
    var headers = headers
    if !status.hasPrefix("204") { headers.append("Content-Length: \(body.count)") }
    var data = Self.head(status: status, type: type, headers)
    if !withoutBody { data += body }
    return data
  }

  /// The head of an answer without an end.
  static func streamHead(type: String) -> Data { head(status: "200 OK", type: type, []) }

  private static func head(status: String, type: String, _ headers: [String]) -> Data {
    let lines =
      [
        "HTTP/1.1 \(status)", "Content-Type: \(type)", "Cache-Control: no-store",
        "Connection: close",
        // Nothing of another origin is loaded, and nothing of this one by another.
        "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
          + "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy: same-origin", "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
      ] + headers
    return Data((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
  }
}
