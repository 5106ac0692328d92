// swift-tools-version: 6.3
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// A package of its own, so that users of `Slab` resolve and build nothing of this.
let package = Package(
  name: "swift-slab-benchmarks",
  products: [.executable(name: "slab-bench", targets: ["SlabBench"])],
  traits: [
    .trait(
      name: "urcu",
      description: "Measures grace periods beside liburcu (apt-get install liburcu-dev).")
  ],
  dependencies: [
    .package(name: "swift-slab", path: ".."),
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
  ],
  targets: [
    .target(name: "CBenchmark"),
    .target(
      name: "CUserspaceRCU",
      cSettings: [.define("SLAB_BENCH_URCU", .when(traits: ["urcu"]))],
      linkerSettings: ["urcu-memb", "urcu-bp", "urcu-common"].map {
        .linkedLibrary($0, .when(traits: ["urcu"]))
      }),
    // One program, built with the C library's malloc and with ours.
    .target(name: "SwiftSessions"),
    .executableTarget(name: "SwiftObjects", dependencies: ["SwiftSessions"]),
    .executableTarget(
      name: "SwiftObjectsInGroup",
      dependencies: [
        "SwiftSessions",
        .product(name: "Slab", package: "swift-slab"),
        .product(name: "SlabMalloc", package: "swift-slab"),
      ]),
    .executableTarget(
      name: "SlabBench",
      dependencies: [
        "CBenchmark",
        .target(name: "CUserspaceRCU", condition: .when(traits: ["urcu"])),
        .product(name: "Slab", package: "swift-slab"),
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]
    ),
  ]
)

for target in package.targets where !["CBenchmark", "CUserspaceRCU"].contains(target.name) {
  target.swiftSettings = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatWarning("StrictMemorySafety", as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
  ]
  if Context.environment["SLAB_WARNINGS_AS_ERRORS"] != nil {
    target.swiftSettings?.append(.treatAllWarnings(as: .error))
  }
}
