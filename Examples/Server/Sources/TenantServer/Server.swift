// SPDX-License-Identifier: Apache-2.0
import Hummingbird
import Slab

/// What a client sends.
struct Document: Codable {
  var title: String
  var tags: [String]
}

/// What it gets back.
struct Summary: ResponseEncodable {
  var title: String
  var tags: Int
  var bytes: Int
}

/// A server that answers `POST /documents` with a summary, and `GET /memory` with what its tenant has in memory.
public func makeServer(
  tenants: Tenants, port: Int, onRunning: @escaping @Sendable (_ port: Int) -> Void = { _ in }
) -> some ApplicationProtocol {
  let router = Router(context: TenantContext.self)
  router.post("documents") { request, context -> Summary in
    // Collects the body first, up to a bound that is far above what a request may have in memory.
    let document = try await request.decode(as: Document.self, context: context)
    return Summary(
      title: document.title, tags: document.tags.count, bytes: MemoryGroup.current.usage)
  }
  router.get("memory") { request, _ in
    let group = try tenants.group(of: request.headers[.tenant]!)
    return "\(group.usage) bytes, at most \(group.peak)\n"
  }
  return Application(
    responder: TenantResponder(wrapped: router.buildResponder(), tenants: tenants),
    configuration: .init(address: .hostname("127.0.0.1", port: port)),
    onServerRunning: { onRunning($0.localAddress?.port ?? port) })
}
