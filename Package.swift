// swift-tools-version: 6.3
import PackageDescription

// Layers, bottom up; a lower one never imports a higher one (docs/architecture.md):
//   0 CSlabPlatform   1 SlabPlatform   2 SlabCore   3 Slab   4 SlabTool
let package = Package(
  name: "swift-slab",
  products: [
    .library(name: "Slab", targets: ["Slab"]),
    // One copy for a host and its plug-ins (docs/plugins.md).
    .library(name: "SlabDynamic", type: .dynamic, targets: ["Slab"]),
    .executable(name: "slab", targets: ["SlabTool"]),
  ],
  traits: [
    .trait(
      name: "Embedded",
      description: "Compiles layers 0 to 2 as Embedded Swift, as the check in .ci/run does."
    )
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .target(name: "CSlabPlatform"),
    .target(name: "SlabPlatform", dependencies: ["CSlabPlatform"]),
    .target(name: "SlabCore", dependencies: ["CSlabPlatform", "SlabPlatform"]),
    .target(name: "Slab", dependencies: ["CSlabPlatform", "SlabCore", "SlabPlatform"]),
    .executableTarget(
      name: "SlabTool",
      dependencies: [
        "Slab",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ],
      resources: [.copy("Resources/transient.ftrace.txt.gz")]
    ),
    .target(
      name: "SlabTestSupport", dependencies: ["SlabCore", "SlabPlatform"],
      path: "Tests/SlabTestSupport"),
    .testTarget(
      name: "SlabPlatformTests",
      dependencies: ["CSlabPlatform", "SlabPlatform", "SlabTestSupport"]),
    .testTarget(
      name: "SlabCoreTests", dependencies: ["SlabCore", "SlabPlatform", "SlabTestSupport"]),
    .testTarget(
      name: "SlabLifecycleTests", dependencies: ["SlabCore", "SlabPlatform", "SlabTestSupport"]),
    .testTarget(
      name: "SlabTests", dependencies: ["Slab", "SlabCore", "SlabPlatform", "SlabTestSupport"]),
    .testTarget(
      name: "SlabToolTests", dependencies: ["SlabTool", "Slab", "SlabTestSupport"],
      resources: [.copy("Resources")]),
  ]
)

// Layers 1 and 2; layer 0 is C.
let embeddedTargets: Set<String> = ["SlabPlatform", "SlabCore"]

for target in package.targets where target.name != "CSlabPlatform" {
  target.swiftSettings = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
    .enableUpcomingFeature("ImmutableWeakCaptures"),
  ]
  // Only where it is asked for, as the checks do: with -Ounchecked the compiler warns of what strict memory safety is
  // there for, and a program that depends on this package by its path would not build.
  if Context.environment["SLAB_WARNINGS_AS_ERRORS"] != nil {
    target.swiftSettings?.append(.treatAllWarnings(as: .error))
  }
  if target.name == "Slab" {
    target.swiftSettings?.append(.enableExperimentalFeature("Lifetimes"))
  }
  if embeddedTargets.contains(target.name) {
    target.swiftSettings?.append(
      .enableExperimentalFeature("Embedded", .when(traits: ["Embedded"])))
  }
}
