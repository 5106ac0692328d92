// SPDX-License-Identifier: Apache-2.0
// A program that shows its allocator at a socket, by a public product alone.

import Slab
import SlabServer

@main struct Served {
  static func main() throws {
    let tenant = try MemoryGroup.root.makeChild(named: "tenant-1")
    let server = try SlabServer.start(for: .shared, access: .ownUser, clients: 2)
    print("served at \(server.path), beside \(tenant)")
    server.stop()
  }
}
