// swift-tools-version: 6.3
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// A client of the library as a user writes one, with nothing but the product `Slab`. The checks
// `hot_path` and `client` build it: what stands in its functions' way is what stands in a user's.
let package = Package(
  name: "hot-path",
  dependencies: [.package(name: "swift-slab", path: "../..")],
  targets: [
    .executableTarget(
      name: "HotPath",
      dependencies: [.product(name: "Slab", package: "swift-slab")],
      swiftSettings: [
        .swiftLanguageMode(.v6),
        .strictMemorySafety(),
        .treatAllWarnings(as: .error),
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
        .enableUpcomingFeature("InferIsolatedConformances"),
        .enableUpcomingFeature("ImmutableWeakCaptures"),
      ])
  ]
)
