// swift-tools-version: 6.3
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// A package of its own, so that a client of Slab resolves nothing of it.
let package = Package(
  name: "slab-monitor",
  products: [.library(name: "SlabMonitor", targets: ["SlabMonitor"])],
  dependencies: [
    .package(name: "swift-slab", path: "../.."),
    .package(url: "https://github.com/swhitty/FlyingFox", .upToNextMinor(from: "0.27.1")),
  ],
  targets: [
    .target(
      name: "SlabMonitor",
      dependencies: [
        .product(name: "Slab", package: "swift-slab"),
        .product(name: "SlabPlots", package: "swift-slab"),
        // Its sockets. docs/monitoring.md says why its server is not used.
        .product(name: "FlyingSocks", package: "FlyingFox"),
      ],
      resources: [
        .embedInCode("Page/page.html"), .embedInCode("Page/page.css"), .embedInCode("Page/page.js"),
      ]),
    .executableTarget(
      name: "Tenants",
      dependencies: ["SlabMonitor", .product(name: "Slab", package: "swift-slab")]),
    .testTarget(
      name: "SlabMonitorTests",
      dependencies: [
        "SlabMonitor", .product(name: "Slab", package: "swift-slab"),
        .product(name: "FlyingSocks", package: "FlyingFox"),
      ]),
  ]
)

for target in package.targets {
  target.swiftSettings = [
    .swiftLanguageMode(.v6), .strictMemorySafety(), .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
  ]
}
