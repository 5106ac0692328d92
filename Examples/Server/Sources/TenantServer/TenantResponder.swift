// SPDX-License-Identifier: Apache-2.0
import HTTPTypes
import Hummingbird
import Slab

/// What goes with a request into the task that answers it.
struct TenantContext: RequestContext, Sendable {
  var coreContext: CoreRequestContextStorage
  init(source: Source) { coreContext = .init(source: source) }
}

/// Answers each request in the memory of its tenant, and ends one that takes more than a request may have.
struct TenantResponder<Wrapped: HTTPResponder>: HTTPResponder
where Wrapped.Context == TenantContext {
  let wrapped: Wrapped
  let tenants: Tenants

  func respond(to request: Request, context: TenantContext) async throws -> Response {
    guard let tenant = request.headers[.tenant] else { return Response(status: .unauthorized) }
    let group = try tenants.makeRequest(of: tenant)
    defer { try? group.close() }
    do {
      // A child task: it is the one that is cancelled, and the connection's own goes on.
      async let response = MemoryGroup.withCurrent(group, onOverLimit: .cancelTask) {
        try await wrapped.respond(to: request, context: context)
      }
      let answer = try await response
      // A thread of the allocator cancels the task soon after it has passed the limit; it may have ended before.
      if group.events.overcharge == 0 { return answer }
    } catch {
      if group.events.overcharge == 0 { throw error }
    }
    return Response(status: .contentTooLarge)
  }
}

extension HTTPField.Name {
  /// In a real server the tenant comes from what authenticated the request.
  public static let tenant = Self("X-Tenant")!
}
