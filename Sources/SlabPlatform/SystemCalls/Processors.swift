// SPDX-License-Identifier: Apache-2.0
// How many CPUs there can be. A thread on a CPU beyond the number would write behind the per-CPU region,
// so only the kernel's own word counts: what it said at boot is true for CPUs that are plugged in later,
// too. Containers show other counts (in `/sys`, in `/proc/cpuinfo`, by the affinity mask), or none.

internal import CSlabPlatform

extension SystemCall {
  private static var mostProcessors: Int { 8192 }

  /// One more than the highest number that a CPU of this machine can ever have, or somewhat more; at least `SLAB_CPUS` in
  /// the environment, which shows on a small machine what a large one costs.
  ///
  /// - Throws: the error of `sched_getaffinity`, if nothing is known for sure.
  package static func processorBound() throws(Errno) -> Int {
    let wanted = environment(
      "SLAB_CPUS", upTo: mostProcessors, otherwise: "SLAB_CPUS must be a number from 1 to 8192")
    return max(try knownProcessorBound(), wanted ?? 1)
  }

  private static func knownProcessorBound() throws(Errno) -> Int {
    var highest = 0
    // The mask's size is a bound, in whole words; what is finer must not contradict it.
    let bound = try perform(.affinity) { unsafe slab_processors_of_mask(&highest) }
    func isPossible(_ count: Int) -> Bool { count > highest && count <= bound }
    if let listed = try? perform(.processorList, { slab_listed_processors() }), isPossible(listed) {
      return listed
    }
    if let shown = try? perform(.processorList, { slab_shown_processors() }), isPossible(shown) {
      return shown
    }
    return bound
  }

  /// Runs on each of the first `count` CPUs in turn: a fence for all threads of the process. Milliseconds, a
  /// system call for each CPU; the calling thread may run where it might before.
  static func visitProcessors(_ count: Int) throws(Errno) {
    _ = try perform(.visit) { slab_visit_processors(count) }
  }

  /// A number for what may be wrong.
  package static var guessedProcessorCount: Int { slab_guessed_processors() }
}
