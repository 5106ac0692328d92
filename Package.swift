// swift-tools-version: 6.3
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// Layers, bottom up; a lower one never imports a higher one (docs/architecture.md):
//   0 CSlabPlatform, SlabTypes   1 SlabPlatform   2 SlabCore   3 Slab, with CSlabTasks; SlabC, with CSlab, and
//   SlabMallocCore, with CSlabMalloc   4 SlabServer; SlabPlots; SlabMount, with CSlabFUSE   5 SlabTool
let package = Package(
  name: "swift-slab",
  products: [
    .library(name: "Slab", targets: ["Slab"]),
    // One copy for a host and its plug-ins (docs/plugins.md).
    .library(name: "SlabDynamic", type: .dynamic, targets: ["Slab"]),
    // The process's malloc, for the target that depends on it (docs/malloc.md).
    .library(name: "SlabMalloc", type: .static, targets: ["SlabMallocCore"]),
    // A socket at which a live process shows its allocator, and parts of pages that do (docs/observing.md).
    .library(name: "SlabServer", targets: ["SlabServer"]),
    .library(name: "SlabPlots", targets: ["SlabPlots"]),
    // Caches and groups as files, for the trait FUSE (docs/mount.md).
    .library(name: "SlabMount", targets: ["SlabMount"]),
    .executable(name: "slab", targets: ["SlabTool"]),
  ],
  traits: [
    .trait(
      name: "Embedded",
      description: "Compiles layers 0 to 2 as Embedded Swift, as the check in .ci/run does."
    ),
    .trait(
      name: "FUSE",
      description: "Shows caches and groups as files (docs/mount.md). Needs libfuse3-dev."
    ),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    .target(name: "CSlabPlatform"),
    .target(
      name: "CSlabMalloc",
      dependencies: ["CSlab", "CSlabPlatform", "CSlabTasks"],
      // As Embedded Swift it is the preloaded library, which knows nothing of tasks.
      cSettings: [.define("SLAB_MALLOC_PRELOADED", .when(traits: ["Embedded"]))]),
    .target(
      name: "SlabMallocCore",
      dependencies: ["CSlabMalloc", "SlabC", "SlabCore", "SlabPlatform", "SlabTypes"]),
    .target(name: "CSlabTasks", dependencies: ["CSlabPlatform"]),
    .target(name: "SlabTypes"),
    .target(name: "SlabPlatform", dependencies: ["CSlabPlatform", "SlabTypes"]),
    .target(name: "SlabCore", dependencies: ["CSlabPlatform", "SlabPlatform", "SlabTypes"]),
    .target(
      name: "Slab", dependencies: ["CSlabTasks", "SlabCore", "SlabPlatform", "SlabTypes"]),
    // The C library, whose interface is CSlab's header; Scripts/install builds and installs it.
    .target(name: "CSlab"),
    .target(name: "SlabC", dependencies: ["CSlab", "SlabCore", "SlabPlatform", "SlabTypes"]),
    .target(
      name: "CSlabFUSE",
      cSettings: [.define("SLAB_FUSE", .when(traits: ["FUSE"]))],
      linkerSettings: [.linkedLibrary("fuse3", .when(traits: ["FUSE"]))]),
    .target(name: "SlabMount", dependencies: ["CSlabFUSE", "Slab"]),
    .target(name: "SlabServer", dependencies: ["Slab"]),
    .target(
      name: "SlabPlots",
      resources: ["treemap.js", "treemap.css", "report.js", "report.css", "report.html"]
        .map { .embedInCode($0) }),
    .executableTarget(
      name: "SlabTool",
      dependencies: [
        "Slab", "SlabMount", "SlabPlots", "SlabServer",
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
      name: "SlabMountTests", dependencies: ["Slab", "SlabMount", "SlabTestSupport"]),
    .testTarget(
      name: "SlabServerTests", dependencies: ["SlabServer", "Slab", "SlabTestSupport"]),
    .testTarget(
      name: "SlabToolTests",
      dependencies: ["SlabTool", "Slab", "SlabMount", "SlabServer", "SlabTestSupport"],
      resources: [.copy("Resources")]),
  ]
)

// Only these test targets, where a build needs no others: see `.ci/run`.
if let tests = Context.environment["SLAB_TESTS"]?.split(separator: " ") {
  package.targets.removeAll { $0.isTest && !tests.contains($0.name[...]) }
}

// Layers 0 to 2, but for what is C, the C library and malloc.
let embeddedTargets: Set<String> = [
  "SlabTypes", "SlabPlatform", "SlabCore", "SlabC", "SlabMallocCore",
]

for target in package.targets where !target.name.hasPrefix("CSlab") {
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
  if ["Slab", "SlabC"].contains(target.name) {
    target.swiftSettings?.append(.enableExperimentalFeature("Lifetimes"))
  }
  if embeddedTargets.contains(target.name) {
    target.swiftSettings?.append(
      .enableExperimentalFeature("Embedded", .when(traits: ["Embedded"])))
  }
}
