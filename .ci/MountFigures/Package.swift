// swift-tools-version: 6.3
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// A program that is mounted, for the figures of docs/mount.md: `.ci/mount SLAB figures` builds and runs it.
let package = Package(
  name: "mount-figures",
  dependencies: [.package(name: "swift-slab", path: "../..", traits: ["FUSE"])],
  targets: [
    .executableTarget(
      name: "MountFigures",
      dependencies: [
        .product(name: "Slab", package: "swift-slab"),
        .product(name: "SlabMount", package: "swift-slab"),
      ],
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
