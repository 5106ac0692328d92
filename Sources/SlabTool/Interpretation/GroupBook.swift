// SPDX-License-Identifier: Apache-2.0
// The groups of a recording and their child caches, as they should be: what the allocator's own
// counters are compared with at the end.
//
// Invariants:
// - `ids` and `names` hold the online groups, each once.
// - A group's `holds` are: itself while it is online, its child caches that are not gone, and
//   the groups below it that are not gone. At zero it is gone, for good.
// - A child cache is gone when it has no object and its group is offline. Its number is then
//   used again; a group's is not, since tasks that exited may still name it.

struct GroupBook {
  private struct Group {
    var id: UInt64
    var name: String
    var parent: Int?
    var isOnline = true
    var onlineChildren = 0
    var holds = 1
    /// The child caches that were made, as a list; it is walked once, when the group is removed.
    var firstChildCache: Int?
  }

  private struct ChildCache {
    var key: UInt64
    var group: Int
    var next: Int?
    var live = 0
  }

  private var groups: [Group] = []
  private var childCaches: [ChildCache] = []
  private var freeChildCaches: [Int] = []
  private var ids = KeyTable()
  private var names: [ByteString: Int] = [:]
  /// The last number that was given to a group of a path that was taken.
  private var lastNumbers: [ByteString: Int] = [:]
  private var childCacheKeys = KeyTable()

  private(set) var groupsGone = 0
  private(set) var childCachesMade = 0
  private(set) var childCachesGone = 0
  /// The child caches whose group is offline and that hold an object.
  private(set) var childCachesPinned = 0
  /// The objects in all child caches.
  private(set) var chargedLive = 0

  /// How many groups there were.
  var count: Int { groups.count }

  /// The online group of this id.
  func group(id: UInt64) -> Int? {
    ids[id]
  }

  /// `group`, or the nearest group above it that is online.
  func nearestOnline(_ group: Int) -> Int? {
    var nearest: Int? = group
    while let candidate = nearest, !groups[candidate].isOnline {
      nearest = groups[candidate].parent
    }
    return nearest
  }

  /// Makes a group of an id that is not online. Its parent is the online group whose path is the
  /// longest that leads to it; its name is its path, with a number when that is taken.
  mutating func make(id: UInt64, path: String) -> (group: Int, name: String, parent: Int?) {
    let parent = parent(of: path)
    let name = unusedName(path)
    let group = groups.count
    groups.append(Group(id: id, name: name, parent: parent))
    ids.set(id, to: group)
    names[ByteString(name)] = group
    if let parent {
      groups[parent].holds += 1
      groups[parent].onlineChildren += 1
    }
    return (group, name, parent)
  }

  /// Where rmdirs were lost, many groups of one path are alive: each has the number behind the last one.
  private mutating func unusedName(_ path: String) -> String {
    var name = path
    let key = ByteString(path)
    while names[ByteString(name)] != nil {
      let number = lastNumbers[key, default: 1] + 1
      lastNumbers[key] = number
      name = "\(path)~\(number)"
    }
    return name
  }

  /// Whether a removal would leave groups without their parent.
  func hasOnlineChildren(_ group: Int) -> Bool {
    groups[group].onlineChildren > 0
  }

  /// Takes an online group offline.
  mutating func remove(_ group: Int) {
    _ = ids.remove(groups[group].id)
    names[ByteString(groups[group].name)] = nil
    groups[group].name = ""
    groups[group].isOnline = false
    if let parent = groups[group].parent { groups[parent].onlineChildren -= 1 }

    var next = groups[group].firstChildCache
    groups[group].firstChildCache = nil
    while let childCache = next {
      next = childCaches[childCache].next
      childCachesPinned += 1
      if childCaches[childCache].live == 0 { letGo(childCache: childCache) }
    }
    letGo(of: group)
  }

  /// Counts an object into the online group's child cache of `cache`; the child cache's number.
  mutating func charge(_ group: Int, cache: Int) -> Int {
    let childCache = childCache(of: group, cache)
    childCaches[childCache].live += 1
    chargedLive += 1
    return childCache
  }

  /// Counts an object out of its child cache; whether that belongs to an offline group.
  mutating func uncharge(_ childCache: Int) -> Bool {
    childCaches[childCache].live -= 1
    chargedLive -= 1
    if groups[childCaches[childCache].group].isOnline { return false }
    if childCaches[childCache].live == 0 { letGo(childCache: childCache) }
    return true
  }

  private mutating func childCache(of group: Int, _ cache: Int) -> Int {
    let key = UInt64(group) << 32 | UInt64(cache)
    if let known = childCacheKeys[key] { return known }
    let made = ChildCache(key: key, group: group, next: groups[group].firstChildCache)
    let childCache: Int
    if let free = freeChildCaches.popLast() {
      childCache = free
      childCaches[free] = made
    } else {
      childCache = childCaches.count
      childCaches.append(made)
    }
    childCacheKeys.set(key, to: childCache)
    groups[group].firstChildCache = childCache
    groups[group].holds += 1
    childCachesMade += 1
    return childCache
  }

  private mutating func letGo(childCache: Int) {
    _ = childCacheKeys.remove(childCaches[childCache].key)
    freeChildCaches.append(childCache)
    childCachesPinned -= 1
    childCachesGone += 1
    letGo(of: childCaches[childCache].group)
  }

  /// Takes one hold from a group, and from those above when it is gone.
  private mutating func letGo(of group: Int) {
    var next: Int? = group
    while let held = next {
      groups[held].holds -= 1
      guard groups[held].holds == 0 else { return }
      groupsGone += 1
      next = groups[held].parent
    }
  }

  private func parent(of path: String) -> Int? {
    var prefix = Substring(path)
    // By bytes: a slash and a mark behind it, with which a name may begin, are one Character.
    while let slash = prefix.utf8.lastIndex(of: UInt8(ascii: "/")) {
      prefix = prefix[..<slash]
      if let group = names[ByteString(prefix)] { return group }
    }
    return nil
  }
}
