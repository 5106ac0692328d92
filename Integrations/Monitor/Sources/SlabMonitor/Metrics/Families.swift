// SPDX-License-Identifier: Apache-2.0
internal import Slab
internal import Synchronization

/// The metrics of a sample. How many there are does not depend on how many groups and caches there are beyond the
/// budget.
struct Families {
  private(set) var all: [MetricFamily]

  init(of sample: Sample, budget: Int, _ use: Use) {
    all = sample.counters.map { Self.family(of: $0) }
    all += Self.events(of: sample)
    all += Self.sizes(of: sample)
    all += Self.groups(of: sample, budget: budget)
    all += Self.caches(of: sample, budget: budget)
    all += Self.monitor(sample, use)
  }

  private static func family(of counter: SlabAllocator.Snapshot.Counter) -> MetricFamily {
    let name = name(of: counter.name, unit: counter.unit)
    let kind: MetricFamily.Kind = counter.kind == .count ? .counter : .gauge
    if counter.unit == "nanoseconds" {
      return MetricFamily(name, kind, counter.help, Double(counter.value) / 1e9)
    }
    return MetricFamily(name, kind, counter.help, counter.value)
  }

  /// The library's own name behind `slab_`, with the unit at its end as Prometheus has it, and time in seconds.
  static func name(of counter: String, unit: String) -> String {
    var words = counter.split(separator: "_").map(String.init)
    if unit == "bytes" || unit == "nanoseconds" {
      words.removeAll { $0 == unit }
      words.append(unit == "bytes" ? "bytes" : "seconds")
    }
    return (["slab"] + words).joined(separator: "_")
  }

  private static func events(of sample: Sample) -> [MetricFamily] {
    var family = MetricFamily(
      "slab_limit_events", .counter,
      "What happened at the limits of all groups: refusals (oom), reclaims at max and above high, and others."
    )
    for event in sample.events.named {
      family.add([("event", event.name)], event.count)
    }
    return [family]
  }

  private static func sizes(of sample: Sample) -> [MetricFamily] {
    var family = MetricFamily(
      "slab_group_size_bytes", .histogram,
      "How many groups have how many bytes charged to them and to the groups below them.")
    family.buckets = sample.sizes
    return [family]
  }

  private static func groups(of sample: Sample, budget: Int) -> [MetricFamily] {
    var usage = MetricFamily(
      "slab_group_usage_bytes", .gauge, "Bytes that are charged to a group and the groups below it."
    )
    var peak = MetricFamily("slab_group_peak_bytes", .gauge, "The most that a group's usage was.")
    var max = MetricFamily("slab_group_max_bytes", .gauge, "The limit of a group that has one.")
    var high = MetricFamily(
      "slab_group_high_bytes", .gauge, "Where a group that has such a limit is reclaimed from.")
    var low = MetricFamily(
      "slab_group_low_bytes", .gauge, "Up to where a group that has such a limit is spared.")
    var dying = MetricFamily(
      "slab_group_dying_descendants", .gauge,
      "Groups below a group that have ended and still exist.")
    var events = MetricFamily(
      "slab_group_limit_events", .counter, "What happened at the limits of a group and below it.")
    var seen: Set<[[UInt8]]> = []
    for (index, group) in sample.largest.prefix(budget).enumerated() {
      let state = group.isOnline ? "online" : "dying"
      // Groups that have ended may have the path of another one: the largest of them has the series.
      guard seen.insert([group.path.key, state.key]).inserted else { continue }
      let labels = [(name: "group", value: group.path), (name: "state", value: state)]
      usage.add(labels, group.usage)
      peak.add(labels, group.peak)
      if let bytes = group.max { max.add(labels, bytes) }
      if let bytes = group.high { high.add(labels, bytes) }
      if group.low > 0 { low.add(labels, group.low) }
      dying.add(labels, group.dyingDescendants)
      for event in sample.eventsOfLargest[index]?.named ?? [] {
        events.add([labels[0], ("event", event.name)], event.count)
      }
    }
    let without = MetricFamily(
      "slab_groups_without_series", .gauge,
      "Groups below the root that have no metrics of their own, since others have more bytes.",
      sample.groupCount - seen.count)
    return [usage, peak, max, high, low, dying, events, without]
  }

  private static func caches(of sample: Sample, budget: Int) -> [MetricFamily] {
    var bytes = MetricFamily(
      "slab_cache_bytes", .gauge, "Bytes of the slabs of a cache in all groups.")
    var size = MetricFamily("slab_cache_object_size_bytes", .gauge, "Bytes of an object.")
    var objects = MetricFamily(
      "slab_cache_objects", .gauge,
      "Objects of a cache in all groups: those that users or sheaves have, and free places of slabs."
    )
    var seen: Set<[UInt8]> = []
    for cache in sample.caches.prefix(budget) where seen.insert(cache.name.key).inserted {
      let label = (name: "cache", value: cache.name)
      bytes.add([label], cache.slabBytes)
      size.add([label], cache.objectSize)
      objects.add([label, ("state", "used")], cache.objectsInUse)
      objects.add([label, ("state", "free")], cache.objectsTotal - cache.objectsInUse)
    }
    let without = MetricFamily(
      "slab_caches_without_series", .gauge,
      "Caches that have no metrics of their own, since others have more bytes.",
      sample.caches.count - seen.count)
    return [bytes, size, objects, without]
  }

  private static func monitor(_ sample: Sample, _ use: Use) -> [MetricFamily] {
    var mode = MetricFamily(
      "slab_percpu_mode", .gauge,
      "1 for how the CPU layer runs: in restartable sequences or with locks.")
    mode.add([("mode", sample.perCPUMode)], 1)
    return [
      mode,
      MetricFamily(
        "slab_monitor_snapshots", .counter, "Snapshots that the monitor has taken.", sample.number),
      MetricFamily(
        "slab_monitor_snapshot_seconds", .gauge, "How long the last snapshot took.",
        sample.took / .seconds(1)),
      MetricFamily(
        "slab_monitor_clients", .gauge, "Clients of the monitor.",
        use.clients.load(ordering: .relaxed)),
      MetricFamily(
        "slab_monitor_clients_refused", .counter,
        "Clients that the monitor had no thread for.", use.refusedClients.load(ordering: .relaxed)),
    ]
  }
}
