// SPDX-License-Identifier: Apache-2.0
// The parent's side: rounds of children, and what their answers amount to.

import Slab

struct Bench {
  let rounds: Int
  /// Allocators to compare with that are installed.
  let peers: [Peer]
  let missing: [Peer]
  /// How the CPU layer runs here.
  let mode: String

  init(rounds: Int) throws(SlabError) {
    self.rounds = rounds
    peers = Peer.all.filter(\.isInstalled)
    missing = Peer.all.filter { !$0.isInstalled }
    let allocator = try SlabAllocator()
    mode = allocator.statistics.perCPUMode.rawValue
    // SAFETY: nothing of it is in use.
    unsafe allocator.unmapEverything()
  }

  /// The answers of one measurement in each round.
  func collect(
    rounds: Int, _ measure: () throws(BenchError) -> Answers
  ) throws(BenchError) -> [Answers] {
    var answers: [Answers] = []
    for _ in 0..<rounds { answers.append(try measure()) }
    return answers
  }
}

extension [Answers] {
  /// One sample a round.
  func samples(_ key: String) throws(BenchError) -> [Double] {
    var samples: [Double] = []
    for answers in self { samples.append(try answers(key)) }
    return samples
  }
}
