// SPDX-License-Identifier: Apache-2.0
internal import FoundationEssentials
internal import Slab

/// Says what a request is answered with.
struct Router: Sendable {
  enum Answer: Sendable {
    case whole(Response)
    /// A stream of events, about one group too if there is a path.
    case events(group: String?)
  }

  let source: Source
  let token: Token?

  func answer(to head: RequestHead) -> Answer {
    guard head.method == "GET" || head.method == "HEAD" else {
      return .whole(
        Response("405 Method Not Allowed", "only GET and HEAD", headers: ["Allow: GET, HEAD"]))
    }
    guard !head.hasBody else {
      return .whole(Response("413 Content Too Large", "a request has no body"))
    }
    guard token != nil || Self.isNumeric(head.headers["host"]) else {
      return .whole(
        Response(
          "421 Misdirected Request", "without a token the host is a numeric address or localhost"))
    }
    if let file = Page.file(at: head.path) { return .whole(file) }
    guard token?.isPresented(by: head.headers["authorization"]) ?? true else {
      return .whole(
        Response(
          "401 Unauthorized", "a token is required: Authorization: Bearer …",
          headers: ["WWW-Authenticate: Bearer"]))
    }
    return data(for: head)
  }

  private func data(for head: RequestHead) -> Answer {
    switch head.path {
    case "/metrics":
      let format = Exposition.Format(accept: head.headers["accept"])
      var response = Response(format.type, source.metrics(as: format))
      response.headers = ["Vary: Accept"]
      return .whole(response)
    case "/events":
      return .events(group: head.query["group"])
    case "/profile":
      return .whole(Response("text/plain; charset=utf-8", source.profile))
    case "/slabinfo":
      switch source.slabinfo {
      case .success(let text): return .whole(Response("text/plain; charset=utf-8", text))
      case .failure(let error):
        return .whole(Response("500 Internal Server Error", "\(error)"))
      }
    default:
      return .whole(
        Response("404 Not Found", "there are /, /metrics, /events, /profile and /slabinfo"))
    }
  }

  /// A page of another origin reaches a monitor of this machine only by a name that leads here (DNS rebinding), and
  /// then the browser says that name. A client without this header is no browser.
  static func isNumeric(_ host: String?) -> Bool {
    guard let host else { return true }
    var name = Substring(host)
    if name.first == "[" {
      guard let end = name.firstIndex(of: "]") else { return false }
      name = name[..<end].dropFirst()
      return (try? Host(String(name))) != nil
    }
    if let colon = name.firstIndex(of: ":") { name = name[..<colon] }
    return name.lowercased() == "localhost" || (try? Host(String(name))) != nil
  }
}
