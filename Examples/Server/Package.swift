// swift-tools-version: 6.3
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// A package of its own: a server on SwiftNIO whose malloc is the allocator. It takes some minutes to build.
let package = Package(
  name: "tenant-server",
  dependencies: [
    .package(name: "swift-slab", path: "../.."),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1"),
  ],
  targets: [
    .target(
      name: "TenantServer",
      dependencies: [
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "Slab", package: "swift-slab"),
      ]),
    .executableTarget(
      name: "serve",
      dependencies: ["TenantServer", .product(name: "SlabMalloc", package: "swift-slab")]),
    .testTarget(
      name: "TenantServerTests",
      dependencies: ["TenantServer", .product(name: "SlabMalloc", package: "swift-slab")]),
  ]
)

for target in package.targets {
  target.swiftSettings = [
    .swiftLanguageMode(.v6), .strictMemorySafety(), .treatAllWarnings(as: .error),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  ]
}
