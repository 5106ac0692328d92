// SPDX-License-Identifier: Apache-2.0
// The allocators to compare with: the C library's own, and those that are preloaded in its place.

import Glibc

struct Peer {
  let name: String
  /// File name of the library; `nil` for the C library's malloc.
  let library: String?
  /// Debian's package.
  let package: String

  static let all = [
    Peer(name: "libc", library: nil, package: ""),
    Peer(name: "mimalloc", library: "libmimalloc.so.2.0", package: "libmimalloc2.0"),
    Peer(name: "jemalloc", library: "libjemalloc.so.2", package: "libjemalloc2"),
    Peer(name: "tcmalloc", library: "libtcmalloc_minimal.so.4", package: "libtcmalloc-minimal4"),
  ]

  private static let folders = [
    "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib",
    "/usr/local/lib",
  ]

  /// Where the library is; `nil` if it is not installed, and for libc.
  var path: String? {
    guard let library else { return nil }
    return Self.folders.map { "\($0)/\(library)" }.first { unsafe access($0, R_OK) == 0 }
  }

  var isInstalled: Bool { library == nil || path != nil }

  /// The loader only warns when it cannot preload something: this looks.
  static func check(loaded library: String) throws(BenchError) {
    guard SystemFile.text(of: "/proc/self/maps").contains("/\(library)") else {
      throw .notLoaded(library: library)
    }
  }
}
