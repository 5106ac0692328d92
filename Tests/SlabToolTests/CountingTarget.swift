// SPDX-License-Identifier: Apache-2.0
// A target that only counts, and that notes every breach of what ``ReplayTarget`` promises.

@testable import SlabTool

struct CountingTarget: ReplayTarget {
  struct Group: Equatable {
    var name: String
    var parent: Int?
    var isOnline = true
  }

  private(set) var cacheNames: [String] = []
  private(set) var cacheBytes: [Int] = []
  private(set) var groups: [Group] = []
  private(set) var allocations = 0
  private(set) var charged = 0
  private(set) var frees = 0
  private(set) var greatestPlace = -1
  private(set) var breaches: [String] = []
  private var taken: Set<Int> = []

  var live: Int { taken.count }

  mutating func makeCache(_ cache: Int, named name: String, objectBytes: Int) {
    expect(cache == cacheNames.count, "cache \(cache) is not the next one")
    expect(!cacheNames.contains(name), "two caches are named \(name)")
    cacheNames.append(name)
    cacheBytes.append(objectBytes)
  }

  mutating func makeGroup(_ group: Int, named name: String, parent: Int?) {
    expect(group == groups.count, "group \(group) is not the next one")
    expect(!groups.contains { $0.isOnline && $0.name == name }, "two groups are named \(name)")
    expect(parent.map { groups[$0].isOnline } ?? true, "the parent of \(name) is offline")
    groups.append(Group(name: name, parent: parent))
  }

  mutating func offlineGroup(_ group: Int) {
    expect(groups[group].isOnline, "group \(group) ends twice")
    expect(!groups.contains { $0.isOnline && $0.parent == group }, "group \(group) has children")
    groups[group].isOnline = false
  }

  mutating func allocate(place: Int, cache: Int, group: Int?) {
    expect(taken.insert(place).inserted, "place \(place) is taken")
    expect(place <= greatestPlace + 1, "place \(place) is not dense")
    expect(cache < cacheNames.count, "cache \(cache) is unknown")
    expect(group.map { groups[$0].isOnline } ?? true, "an allocation in an offline group")
    greatestPlace = max(greatestPlace, place)
    allocations += 1
    if group != nil { charged += 1 }
  }

  mutating func free(place: Int) {
    expect(taken.remove(place) != nil, "place \(place) is free")
    frees += 1
  }

  private mutating func expect(_ holds: Bool, _ breach: String) {
    if !holds { breaches.append(breach) }
  }
}
