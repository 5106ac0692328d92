// SPDX-License-Identifier: Apache-2.0
// What a churn lives: groups that all exist at one time, and then all end.

struct ChurnLoad: Equatable {
  var groups: Int
  /// Root caches; each group uses every one of them.
  var caches: Int
  /// Objects of each group in each cache.
  var objects: Int

  /// Caches of a small job: names and sizes as in the kernel.
  private static let typical = [
    ("dentry", 192), ("inode_cache", 608), ("filp", 256), ("kmalloc-64", 64), ("kmalloc-1k", 1024),
  ]

  /// Name and object size of a root cache.
  static func cache(_ index: Int) -> (name: String, objectBytes: Int) {
    let (name, bytes) = typical[index % typical.count]
    let round = index / typical.count
    return (round == 0 ? name : "\(name)-\(round + 1)", bytes)
  }
}
