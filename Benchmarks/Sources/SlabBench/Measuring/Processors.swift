// SPDX-License-Identifier: Apache-2.0
// Which CPU a thread runs on.

import CBenchmark

enum Processors {
  /// The CPUs that this process may use, lowest first.
  static let allowed: [Int] = {
    var cpus = [CInt](repeating: 0, count: 1024)
    // SAFETY: the function writes at most as many numbers as it is told.
    let count = unsafe bench_allowed_cpus(&cpus, CInt(cpus.count))
    return cpus.prefix(Int(max(0, count))).map(Int.init)
  }()

  /// Lets the calling thread, and threads that it starts, run on the `index`-th of these alone.
  static func pin(to index: Int) {
    guard allowed.indices.contains(index), bench_pin(CInt(allowed[index])) == 0 else {
      fatalError("slab-bench: cannot run on CPU number \(index) of those allowed")
    }
  }
}
