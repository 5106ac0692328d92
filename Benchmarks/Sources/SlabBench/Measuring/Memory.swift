// SPDX-License-Identifier: Apache-2.0
// What the system says about the memory of this process.

enum Memory {
  /// Resident bytes, exactly (the kernel adds up the pages; VmRSS of `status` may lag behind).
  static var residentBytes: Int {
    for line in SystemFile.text(of: "/proc/self/smaps_rollup").split(separator: "\n")
    where line.hasPrefix("Rss:") {
      let kibibytes = line.split(separator: " ").dropFirst().first.flatMap { Int($0) }
      return (kibibytes ?? 0) << 10
    }
    return 0
  }
}
