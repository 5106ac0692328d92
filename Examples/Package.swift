// swift-tools-version: 6.3
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// A client as others are: nothing here sees more of Slab than its public interface.
let package = Package(
  name: "slab-examples",
  dependencies: [.package(name: "swift-slab", path: "..")],
  targets: [
    "JobRunner", "SessionStore", "RequestParser", "ResultCache",
  ].map {
    .executableTarget(name: $0, dependencies: [.product(name: "Slab", package: "swift-slab")])
  } + [
    .testTarget(
      name: "ExampleTests",
      dependencies: ["JobRunner", "SessionStore", "RequestParser", "ResultCache"])
  ]
)

for target in package.targets {
  target.swiftSettings = [
    .swiftLanguageMode(.v6), .strictMemorySafety(), .treatAllWarnings(as: .error),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  ]
}
