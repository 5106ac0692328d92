// SPDX-License-Identifier: Apache-2.0
// Requests of a tenant, parsed one after the other: each document's memory is its own, bounded by the
// tenant's limit, and gone at once when the request is done.

import Slab

@main
enum Main {
  static func main() async throws {
    let nodes = unsafe try SlabCache<Node>(named: "node")
    let tenant = try MemoryGroup.root.makeChild(named: "tenant", max: 8 << 20)
    var sum = 0.0
    var nodeCount = 0
    for number in 0..<200 {
      let document = unsafe try Document(
        parsing: request(elements: 1000), number: number, for: tenant, nodes: nodes)
      sum += document.sum
      nodeCount += document.nodeCount
    }
    print("200 requests, \(nodeCount) nodes, sum \(sum)")
    do {
      _ = unsafe try Document(
        parsing: request(elements: 200_000), number: 200, for: tenant, nodes: nodes)
    } catch let error as SlabError {
      print("a request too many: \(error)")
    }
    try tenant.close()
    try await tenant.waitUntilDrained()
    print("\(tenant.usage) bytes left, \(tenant.peak) at most")
  }

  static func request(elements: Int) -> String {
    let list = (0..<elements).map { #"{"id": \#($0), "tags": ["a", "b"], "on": true}"# }
    return "[" + list.joined(separator: ",") + "]"
  }
}
