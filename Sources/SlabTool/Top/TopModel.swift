// SPDX-License-Identifier: Apache-2.0
// What `slab top` shows: rows of groups and caches, made from snapshots and options. It knows nothing of terminals.

struct TopModel {
  struct GroupRow: Equatable {
    var key: ByteString
    var label: String
    var depth: Int
    var hasChildren: Bool
    var isFolded: Bool
    var isEnded: Bool
    var current: Int
    var peak: Int
    var max: Int?
    var rate: Double?
    var dying: Int
  }

  struct CacheRow: Equatable {
    var name: String
    var objectSize: Int
    var objectsInUse: Int
    var objectsTotal: Int
    var slabBytes: Int
    var waste: Int
  }

  var options = TopOptions()
  private(set) var snapshot: ObservedSnapshot?
  private(set) var tree = GroupTree()
  /// Changes of counters in a second.
  private(set) var counterRates: [String: Double] = [:]

  /// The next snapshot. Rates are those since the one before, by the clock of the process.
  mutating func take(_ next: ObservedSnapshot) {
    var tree = GroupTree(next.groups)
    counterRates = [:]
    if let before = snapshot, before.process == next.process,
      let start = before.monotonicNanoseconds, let end = next.monotonicNanoseconds,
      case let seconds = (Double(end) - Double(start)) / 1e9, seconds > 0
    {
      tree.compare(with: self.tree, seconds: seconds)
      for counter in next.counters where counter.kind == "count" {
        counterRates[counter.name] =
          (Double(counter.value) - Double(before[counter: counter.name])) / seconds
      }
    }
    self.tree = tree
    snapshot = next
    // Keys of groups that are gone would be kept for ever.
    options.folded = options.folded.filter { tree.places[$0] != nil }
  }

  // MARK: Groups

  /// The rows, each group before those below it. Of groups that do not pass the filter those are there that have one
  /// below that does. O(n log n).
  var groupRows: [GroupRow] {
    var passing: [Bool]?
    if !options.filter.isEmpty || options.onlyDying {
      var flags = tree.nodes.map(passes)
      // Children stand behind their parents.
      for index in tree.nodes.indices.reversed() where flags[index] {
        if let parent = tree.nodes[index].parent { flags[parent] = true }
      }
      passing = flags
    }
    var rows: [GroupRow] = []
    var open = sorted(tree.roots).reversed().map { ($0, 0) }
    while let (index, depth) = open.popLast() {
      if let passing, !passing[index] { continue }
      let node = tree.nodes[index]
      // What a filter finds is shown.
      let isFolded = options.folded.contains(node.key) && passing == nil
      rows.append(row(of: node, depth: depth, isFolded: isFolded))
      if !isFolded { open += sorted(node.children).reversed().map { ($0, depth + 1) } }
    }
    return rows
  }

  private func passes(_ node: GroupTree.Node) -> Bool {
    (options.filter.isEmpty || node.group.path.contains(caseless: options.filter))
      && (!options.onlyDying || node.dying > 0)
  }

  private func row(of node: GroupTree.Node, depth: Int, isFolded: Bool) -> GroupRow {
    GroupRow(
      key: node.key, label: node.label, depth: depth, hasChildren: !node.children.isEmpty,
      isFolded: isFolded, isEnded: node.isEnded, current: node.group.usage,
      peak: node.group.peak, max: node.group.max, rate: node.rate, dying: node.dying)
  }

  private func sorted(_ indices: [Int]) -> [Int] {
    let nodes = tree.nodes
    func precede(_ left: Int, _ right: Int) -> Bool {
      let (left, right) = (nodes[left], nodes[right])
      let (first, second) = (value(left), value(right))
      if first != second { return first > second }
      return left.key < right.key
    }
    let sorted =
      options.groupOrder == .name
      ? indices.sorted { nodes[$0].key < nodes[$1].key } : indices.sorted(by: precede)
    return options.isReversed ? sorted.reversed() : sorted
  }

  private func value(_ node: GroupTree.Node) -> Double {
    switch options.groupOrder {
    case .current: Double(node.group.usage)
    case .peak: Double(node.group.peak)
    // Groups without a limit stand behind those that have one.
    case .max: node.group.max.map(Double.init) ?? -1
    case .rate: node.rate.map(abs) ?? -1
    case .dying: Double(node.dying)
    case .name: 0
    }
  }

  /// Folds a group, or unfolds it; one that has nothing below stays as it is.
  mutating func toggleFold(_ key: ByteString) {
    guard let place = tree.places[key], !tree.nodes[place].children.isEmpty else { return }
    if options.folded.remove(key) == nil { options.folded.insert(key) }
  }

  /// Folds all but the root group.
  mutating func foldAll() {
    options.folded = Set(
      tree.nodes.filter { !$0.children.isEmpty && $0.parent != nil }.map(\.key))
  }

  /// The group above, where it is in the tree.
  func parentKey(of key: ByteString) -> ByteString? {
    tree.places[key].flatMap { tree.nodes[$0].parent }.map { tree.nodes[$0].key }
  }

  // MARK: Caches

  var cacheRows: [CacheRow] {
    let rows = (snapshot?.caches ?? []).filter {
      options.filter.isEmpty || options.pane == .groups
        || $0.name.contains(caseless: options.filter)
    }.map {
      CacheRow(
        name: $0.name, objectSize: $0.objectSize, objectsInUse: $0.objectsInUse,
        objectsTotal: $0.objectsTotal, slabBytes: $0.slabBytes, waste: $0.waste)
    }.sorted { left, right in
      let (first, second) = (value(left), value(right))
      return first != second ? first > second : left.name < right.name
    }
    return options.isReversed ? rows.reversed() : rows
  }

  private func value(_ row: CacheRow) -> Int {
    switch options.cacheOrder {
    case .waste: row.waste
    case .slabs: row.slabBytes
    case .objects: row.objectsInUse
    case .size: row.objectSize
    case .name: 0
    }
  }
}

extension String {
  /// Whether a text is in it, in upper or lower case.
  func contains(caseless text: String) -> Bool { lowercased().contains(text.lowercased()) }
}
