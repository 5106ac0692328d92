// SPDX-License-Identifier: Apache-2.0
// A program whose malloc is the allocator: what it allocates in a scope is charged to the scope's group.

import Foundation
import Slab

@main
struct Main {
  static func main() async throws {
    let tenant = try MemoryGroup.root.makeChild(named: "tenant", max: 1 << 20)
    let data = await MemoryGroup.withCurrent(tenant) {
      await Task { Data(count: 100_000) }.value
    }
    precondition(tenant.statistics.objects >= 100_000, "not charged")
    print("\(data.count) bytes of data, \(tenant.usage) charged")
  }
}
