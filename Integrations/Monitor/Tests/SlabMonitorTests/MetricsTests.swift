// SPDX-License-Identifier: Apache-2.0
import Slab
import Testing

@testable import SlabMonitor

/// The texts for Prometheus. `.ci/monitor` has them read by promtool and by a reader of OpenMetrics as well.
@Suite struct MetricsTests {
  private func sample(of allocator: SlabAllocator, largest: Int = 1000, budget: Int = 100) -> Sample
  {
    Sample(number: 1, of: allocator, largest: largest, withEvents: budget)
  }

  private func text(
    of allocator: SlabAllocator, _ format: Exposition.Format = .text, budget: Int = 100
  ) -> String {
    let families = Families(of: sample(of: allocator, budget: budget), budget: budget, Use()).all
    return Exposition(format).text(of: families)
  }

  @Test func namesFollowTheConventions() throws {
    #expect(Families.name(of: "charged_bytes_peak", unit: "bytes") == "slab_charged_peak_bytes")
    #expect(Families.name(of: "worker_nanoseconds", unit: "nanoseconds") == "slab_worker_seconds")
    #expect(Families.name(of: "groups_live", unit: "groups") == "slab_groups_live")
    try withAllocator { allocator in
      var kinds: [Substring: Substring] = [:]
      var isHelpAhead = false
      for line in text(of: allocator).split(separator: "\n") {
        let words = line.split(separator: " ", maxSplits: 3)
        switch words[1] {
        case "HELP": isHelpAhead = words.count == 4
        case "TYPE":
          #expect(isHelpAhead && kinds.updateValue(words[3], forKey: words[2]) == nil, "\(line)")
          #expect((words[3] == "counter") == words[2].hasSuffix("_total"), "\(line)")
          #expect(!words[2].contains("nanoseconds") && words[2].hasPrefix("slab_"))
        default: #expect(Double(words[1]) != nil || line.contains("{"), "\(line)")
        }
      }
      for counter in allocator.snapshot(largest: 0).counters {
        let name = Families.name(of: counter.name, unit: counter.unit)
        let full = counter.kind == .count ? "\(name)_total" : name
        #expect(kinds[full[...]] == (counter.kind == .count ? "counter" : "gauge"), "\(full)")
      }
    }
  }

  /// However many groups there are.
  @Test func theBudgetBoundsTheSeries() throws {
    try withAllocator { allocator in
      let cache = try RawSlabCache(named: "kilobyte", objectSize: 1024, of: allocator)
      let groups = try (0..<300).map { try allocator.rootGroup.makeChild(named: "group-\($0)") }
      for (index, group) in groups.enumerated() {
        for _ in 0..<(index % 50) { _ = try unsafe cache.allocate(in: group) }
      }
      for budget in [0, 1, 10, 1000] {
        let lines = text(of: allocator, budget: budget).split(separator: "\n")
        let usages = lines.filter { $0.hasPrefix("slab_group_usage_bytes{") }
        #expect(usages.count == min(budget, 300))
        #expect(lines.contains("slab_groups_without_series \(300 - min(budget, 300))"))
        let caches = lines.filter { $0.hasPrefix("slab_cache_bytes{") }
        #expect(caches.count <= budget)
        // Those with the most bytes have the series.
        let least = groups.map(\.usage).sorted(by: >).prefix(budget).last ?? 0
        for line in usages {
          #expect(try #require(Int(line.split(separator: " ").last!)) >= least)
        }
        #expect(lines.contains("slab_group_size_bytes_count 300"))
        let sum = groups.reduce(0) { $0 + $1.usage }
        #expect(lines.contains("slab_group_size_bytes_sum \(sum)"))
      }
      withExtendedLifetime((groups, cache)) {}
    }
  }

  /// The page has the largest groups, and of the others how many there are and what they have.
  @Test func whatIsNotSentIsAddedUp() throws {
    try withAllocator { allocator in
      let cache = try RawSlabCache(named: "kilobyte", objectSize: 1024, of: allocator)
      let top = try allocator.rootGroup.makeChild(named: "top")
      var groups: [MemoryGroup] = []
      for number in 0..<20 {
        let parent = number % 2 == 0 ? top : allocator.rootGroup
        let group = try parent.makeChild(named: "group-\(number)")
        let below = try group.makeChild(named: "below")
        for _ in 0..<8 * (number + 1) { _ = try unsafe cache.allocate(in: below) }
        groups += [group, below]
      }
      for count in [1, 2, 5, 13, 41, 100] {
        let sample = sample(of: allocator, largest: count)
        #expect(sample.largest.count == min(count, 41) && sample.groupCount == 41)
        // What is right below the root, sent or not, is all there is.
        let sent = sample.largest.filter { $0.path.split(separator: "/").count == 1 }
        let rest = sample.rest.filter { $0.path == "/" }
        #expect(
          sent.map(\.usage).reduce(0, +) + rest.map(\.usage).reduce(0, +) == sample.root.usage)
        #expect(sent.count + rest.map(\.count).reduce(0, +) == 11)
        if count == 41 { #expect(sample.rest.isEmpty) }
      }
      withExtendedLifetime((groups, top, cache)) {}
    }
  }

  /// A group that has ended and one that has its name now: the reader refuses a series that comes twice.
  @Test func noSeriesComesTwice() throws {
    try withAllocator { allocator in
      let cache = try RawSlabCache(named: "kilobyte", objectSize: 1024, of: allocator)
      var kept: [MemoryGroup] = []
      for _ in 0..<4 {
        let group = try allocator.rootGroup.makeChild(named: "tenant", endings: .keep)
        _ = try unsafe cache.allocate(in: group)
        kept.append(group)
        if kept.count < 4 { try group.close() }
      }
      allocator.waitUntilIdle()
      let sample = sample(of: allocator)
      #expect(sample.largest.count { $0.path == "/tenant" } == 4)
      #expect(sample.dying.count == 3)
      for format in [Exposition.Format.text, .openMetrics] {
        let series = text(of: allocator, format).split(separator: "\n").filter { $0.first != "#" }
          .map { $0[..<$0.lastIndex(of: " ")!] }
        #expect(Set(series).count == series.count)
        #expect(series.contains("slab_group_usage_bytes{group=\"/tenant\",state=\"online\"}"))
        #expect(series.contains("slab_group_usage_bytes{group=\"/tenant\",state=\"dying\"}"))
      }
      withExtendedLifetime((kept, cache)) {}
    }
  }

  /// For Swift these names are equal; to the library and to Prometheus they are two.
  @Test func namesThatSwiftHoldsForEqual() throws {
    try withAllocator { allocator in
      let names = ["\u{e9}", "e\u{301}"]
      let caches = try names.map { try RawSlabCache(named: $0, objectSize: 64, of: allocator) }
      let groups = try names.map { try allocator.rootGroup.makeChild(named: $0) }
      for (cache, group) in zip(caches, groups) { _ = try unsafe cache.allocate(in: group) }
      let lines = text(of: allocator).utf8.split(separator: UInt8(ascii: "\n")).map { Array($0) }
      for name in names {
        for start in [
          "slab_group_usage_bytes{group=\"/\(name)\"", "slab_cache_bytes{cache=\"\(name)\"",
        ] {
          #expect(lines.count { $0.starts(with: start.utf8) } == 1, "\(start)")
        }
      }
      withExtendedLifetime((groups, caches)) {}
    }
  }

  @Test func namesOfGroupsAreEscaped() throws {
    #expect(Exposition.escaped(label: "a\"b\\c\nd") == "a\\\"b\\\\c\\nd")
    try withAllocator { allocator in
      let group = try allocator.rootGroup.makeChild(named: "a\"b\\c}é{,=#")
      #expect(text(of: allocator).contains("{group=\"/a\\\"b\\\\c}é{,=#\",state=\"online\"} 0\n"))
      withExtendedLifetime(group) {}
    }
  }

  @Test func limitsAreCounted() throws {
    try withAllocator { allocator in
      let cache = try RawSlabCache(named: "page", objectSize: 4096, of: allocator)
      let group = try allocator.rootGroup.makeChild(named: "tenant", max: 64 << 10)
      while unsafe (try? cache.allocate(in: group)) != nil {}
      let lines = text(of: allocator).split(separator: "\n")
      #expect(lines.contains("slab_limit_events_total{event=\"oom\"} \(group.events.oom)"))
      #expect(
        lines.contains(
          "slab_group_limit_events_total{group=\"/tenant\",event=\"oom\"} \(group.events.oom)"))
      #expect(group.events.oom > 0)
      withExtendedLifetime((group, cache)) {}
    }
  }

  @Test func openMetricsDiffers() throws {
    try withAllocator { allocator in
      let text = text(of: allocator, .openMetrics)
      #expect(text.hasSuffix("\n# EOF\n"))
      #expect(text.contains("\n# TYPE slab_groups_created counter\n"))
      #expect(text.contains("\nslab_groups_created_total 0\n"))
      #expect(text.contains("\n# UNIT slab_charged_bytes bytes\n"))
      #expect(text.contains("\n# TYPE slab_group_size_bytes gaugehistogram\n"))
      #expect(
        text.contains(
          "\nslab_group_size_bytes_bucket{le=\"+Inf\"} 0\nslab_group_size_bytes_gsum 0\n"))
    }
  }

  @Test func boundsAreCanonical() {
    let texts = Histogram.bounds.map(Exposition.canonical)
    #expect(texts[0] == "1024.0" && texts[4] == "262144.0" && texts[5] == "1.048576e+06")
    #expect(texts.last == "1.073741824e+09")
    #expect(texts.map { Double($0) } == Histogram.bounds.map { Double($0) })
    #expect(Exposition.canonical(1_000_000) == "1.0e+06")
  }

  @Test func theHistogramCountsEachOnce() {
    var histogram = Histogram()
    for bytes in [0, 1024, 1025, 4096, 1 << 30, (1 << 30) + 1] { histogram.add(bytes) }
    #expect(histogram.counts == [2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1])
    #expect(histogram.sum == 2 * (1 << 30) + 1 + 1024 + 1025 + 4096)
  }

  @Test(arguments: [
    (nil, Exposition.Format.text), ("", .text), ("*/*", .text), ("text/html,*/*;q=0.8", .text),
    ("application/openmetrics-text", .openMetrics),
    (
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
        + "text/plain;version=0.0.4;q=0.5,*/*;q=0.1", .openMetrics
    ),
    ("application/openmetrics-text; version=0.0.1", .text),
    ("application/openmetrics-text;version=1.0.0;q=0.2, text/plain;q=0.5", .text),
    ("application/openmetrics-text;q=0", .text), ("APPLICATION/OpenMetrics-Text;Q=1", .openMetrics),
    ("application/openmetrics-text;q=nonsense", .text), (";;,,;q", .text),
  ])
  func whatAClientAccepts(_ header: String?, _ format: Exposition.Format) {
    #expect(Exposition.Format(accept: header) == format)
  }
}
