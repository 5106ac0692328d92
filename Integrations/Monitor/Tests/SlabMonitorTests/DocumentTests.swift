// SPDX-License-Identifier: Apache-2.0
import Foundation
import Slab
import Testing

@testable import SlabMonitor

/// What is written, beside what there is.
@Suite struct DocumentTests {
  private static let package = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// Of an allocator in which each family has a point.
  private func families() throws -> [MetricFamily] {
    try withAllocator { allocator in
      let group = try allocator.rootGroup.makeChild(named: "tenant", max: 1 << 20, high: 1 << 19)
      try group.setLow(4096)
      let sample = Sample(number: 1, of: allocator, largest: 10, withEvents: 10)
      withExtendedLifetime(group) {}
      return Families(of: sample, budget: 10, Use()).all
    }
  }

  private func names() throws -> Set<String> {
    var names: Set<String> = []
    for family in try families() {
      #expect(!family.points.isEmpty || family.buckets != nil, "\(family.name)")
      switch family.kind {
      case .counter: names.insert("\(family.name)_total")
      case .gauge: names.insert(family.name)
      case .histogram: names.formUnion(["bucket", "sum", "count"].map { "\(family.name)_\($0)" })
      }
    }
    return names
  }

  private func text(_ path: String) throws -> String {
    try String(contentsOf: Self.package.appending(path: path), encoding: .utf8)
  }

  private func metrics(in text: String) -> Set<String> {
    Set(text.matches(of: /slab_[a-z_]+[a-z]/).map { String($0.output) })
  }

  @Test func theDashboardNamesWhatThereIs() throws {
    let dashboard = try text("grafana.json")
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(dashboard.utf8)) as? [String: Any])
    let panels = try #require(object["panels"] as? [[String: Any]])
    var named: Set<String> = []
    var ids: Set<Int> = []
    for panel in panels {
      #expect(ids.insert(try #require(panel["id"] as? Int)).inserted)
      for target in try #require(panel["targets"] as? [[String: Any]]) {
        let expression = try #require(target["expr"] as? String)
        let metrics = metrics(in: expression)
        #expect(!metrics.isEmpty, "\(expression)")
        named.formUnion(metrics)
      }
    }
    #expect(named.count > 20)
    #expect(named.subtracting(try names()) == [])
    // What the choice of jobs and instances is made from.
    #expect(metrics(in: dashboard).subtracting(try names()) == [])
  }

  /// The README's piece of Swift is what stands here between the two comments, and runs.
  @Test func theReadmeIsCompiled() throws {
    func read() throws {
      // snippet
      let monitor = try SlabMonitor.start()  // http://127.0.0.1:9640/, for this machine only
      print(monitor.address)
      monitor.stop()
      // end
    }
    // Another process may have the address.
    do { try read() } catch MonitorError.cannotListen {}
    let lines = { (text: String) in text.split(separator: "\n", omittingEmptySubsequences: false) }
    let source = try lines(text("Tests/SlabMonitorTests/DocumentTests.swift"))
    let start = try #require(source.firstIndex { $0.hasSuffix("    // snippet") })
    let end = try #require(source.firstIndex { $0.hasSuffix("    // end") })
    let readme = try lines(text("README.md"))
    let fence = try #require(readme.firstIndex(of: "```swift"))
    let shown = readme[(fence + 1)...].prefix { $0 != "```" }
    #expect(shown.elementsEqual(source[(start + 1)..<end].map { $0.dropFirst(6) }))
  }

  /// The page has a row for each that is not one of the library's counters, and names no other.
  @Test func theDocumentationNamesWhatThereIs() throws {
    let page = try text("../../docs/monitoring.md")
    let named = metrics(in: page)
    #expect(named.subtracting(try names()) == [])
    let counters = try withAllocator { allocator in
      allocator.snapshot(largest: 0).counters.map { Families.name(of: $0.name, unit: $0.unit) }
    }
    for family in try families() where !counters.contains(family.name) {
      #expect(named.contains { $0.hasPrefix(family.name) }, "\(family.name)")
    }
  }
}
