// swift-tools-version: 6.3
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// A package of its own: its tests run in a process whose malloc is the allocator, as a user's program does.
let package = Package(
  name: "malloc-in-swift",
  dependencies: [.package(name: "swift-slab", path: "../..")],
  targets: [
    .target(name: "CAllocations"),
    .testTarget(
      name: "MallocInSwiftTests",
      dependencies: [
        "CAllocations",
        .product(name: "Slab", package: "swift-slab"),
        .product(name: "SlabMalloc", package: "swift-slab"),
      ],
      swiftSettings: [
        .swiftLanguageMode(.v6), .strictMemorySafety(), .treatAllWarnings(as: .error),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
      ]),
  ]
)
