// SPDX-License-Identifier: Apache-2.0
import Slab
import Synchronization

/// The groups of the tenants that the server has met. Below each is one for every request that is being answered.
public final class Tenants: Sendable {
  private let groups = Mutex<[String: MemoryGroup]>([:])
  private let requestMax: Int
  private let requests = Atomic(0)

  /// - Parameter requestMax: bytes that one request may have.
  public init(requestMax: Int) { self.requestMax = requestMax }

  /// A tenant's group; made when it is first asked for.
  public func group(of tenant: String) throws -> MemoryGroup {
    try groups.withLock { groups in
      if let group = groups[tenant] { return group }
      let group = try MemoryGroup.root.makeChild(named: tenant)
      groups[tenant] = group
      return group
    }
  }

  /// A group for one request. What outlives the request is its tenant's when the group is closed.
  func makeRequest(of tenant: String) throws -> MemoryGroup {
    let number = requests.wrappingAdd(1, ordering: .relaxed).newValue
    return try group(of: tenant).makeChild(named: "request-\(number)", max: requestMax)
  }
}
