// SPDX-License-Identifier: Apache-2.0
import TenantServer

@main
struct Serve {
  static func main() async throws {
    let tenants = Tenants(requestMax: 256 << 10)
    try await makeServer(tenants: tenants, port: 8080).runService()
  }
}
