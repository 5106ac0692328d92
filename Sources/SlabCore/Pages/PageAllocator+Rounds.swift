// SPDX-License-Identifier: Apache-2.0
// When free pages go back to the system. A load that frees much and allocates it again would pay a page fault for each
// page that went back in between. So where the idle clock runs, it decides: at the end of each of its rounds what was
// free all the time in the last three goes back, but for what is worth keeping. A load that swings faster than three rounds
// keeps its pages; those that a load has left are gone after four. (With one round instead of three, threads that
// touched 1.6 GB for the first time took so long for it that it went back before they used it again, and again.)
//
//   noteExcess   more than twice what is worth keeping is free: from now on rounds are counted
//   endRound     what no moment of three rounds used is to be given back now
//   ...          until no more than twice what is worth keeping is free
//
// Free runs may be too small for what a load wants next. Then it takes new pages, and those that are free are of no
// use to it. So no more pages are resident than half again the most that were lately in use at a time; beyond that
// free ones go back at once.
//
// Without the clock, what is beyond twice of what is worth keeping goes back at once.

internal import SlabPlatform
internal import Synchronization

struct PageRounds: ~Copyable {
  let isCounted: Bool
  /// Whether a round of the idle clock is wanted: changes under the page lock.
  let isWanted = Atomic<Bool>(false)
  /// Set when `isWanted` has become true and no worker has been woken for it. Releasing, and acquiring where it is taken: the
  /// worker that is woken for it sees `isWanted`.
  fileprivate let isNews = Atomic<Bool>(false)

  // Under the page lock:
  /// The fewest pages that were dirty since the round began.
  private(set) var fewestDirtyPages = 0
  /// Of the rounds before it, the last one first.
  private var fewestBefore = InlineArray<2, Int>(repeating: 0)
  /// How many the load of the last round may take at a time; unbounded when pages go back for another reason.
  fileprivate(set) var pagesToLeave = Int.max
  /// The most that were in use at a time, since the round began and before it, an eighth less with each round.
  private var usedPeak = 0
  private var usedPeakBefore = 0

  init(isCounted: Bool) { self.isCounted = isCounted }

  /// When there are fewer.
  mutating func note(dirtyPages: Int) { fewestDirtyPages = min(fewestDirtyPages, dirtyPages) }

  fileprivate mutating func note(usedPages: Int) { usedPeak = max(usedPeak, usedPages) }

  /// How many may be resident, beside those that are kept at least.
  fileprivate var mostResident: Int {
    let peak = max(usedPeak, usedPeakBefore)
    return peak + peak / 2
  }

  /// In the middle of a round, of whose beginning nothing is known.
  fileprivate mutating func want() {
    guard !isWanted.load(ordering: .relaxed) else { return }
    fewestDirtyPages = 0
    fewestBefore = InlineArray(repeating: 0)
    // Sequentially consistent, as a worker's announcement that it falls asleep: see `sleepUntilWoken`.
    isWanted.store(true, ordering: .sequentiallyConsistent)
    isNews.store(true, ordering: .releasing)
  }

  /// The fewest that were dirty in the round that ends and the two before it. More of them than are worth keeping count as
  /// given back.
  fileprivate mutating func begin(dirtyPages: Int, usedPages: Int, keeping kept: Int) -> Int {
    usedPeakBefore = max(usedPeak, usedPeakBefore - usedPeakBefore / 8)
    usedPeak = usedPages
    var fewest = fewestDirtyPages
    for index in fewestBefore.indices { fewest = min(fewest, fewestBefore[index]) }
    let goesBack = fewest > kept ? fewest : 0
    fewestBefore = [fewestDirtyPages - goesBack, fewestBefore[0] - goesBack]
    fewestDirtyPages = dirtyPages
    return fewest
  }
}

extension PageAllocator {
  /// How many free pages are left when more are given back.
  var pagesToLeave: Int {
    rounds.isCounted
      ? max(pagesToKeep, min(rounds.pagesToLeave, mostResident - usedPages)) : pagesToKeep
  }

  private var mostResident: Int { rounds.mostResident + 2 * leastToKeep }

  /// When twice as many pages are free as are worth keeping: so a load that swings a little is left alone.
  mutating func noteExcess() {
    if rounds.isCounted { rounds.want() } else { hasExcess.store(true, ordering: .relaxed) }
  }

  /// When pages have been taken.
  mutating func noteUse() {
    guard rounds.isCounted else { return }
    rounds.note(usedPages: usedPages)
    guard usedPages + dirtyPages > mostResident, !hasExcess.load(ordering: .relaxed) else { return }
    rounds.pagesToLeave = .max
    hasExcess.store(true, ordering: .relaxed)
  }

  mutating func endRound(under lock: borrowing PagesLocked) {
    let idle = rounds.begin(
      dirtyPages: dirtyPages, usedPages: usedPages, keeping: pagesToKeep)
    if idle > pagesToKeep {
      rounds.pagesToLeave = dirtyPages - idle
      hasExcess.store(true, ordering: .relaxed)
    } else if dirtyPages <= 2 * pagesToKeep {
      rounds.isWanted.store(false, ordering: .relaxed)
    }
  }
}

extension Pointer where Pointee == PageAllocator {
  /// Holding no lock, after pages were freed: whether the caller is to wake a worker.
  func isWorkerWanted() -> Bool {
    pointee.hasExcess.load(ordering: .relaxed)
      || pointee.rounds.isNews.load(ordering: .relaxed)
        && pointee.rounds.isNews.exchange(false, ordering: .acquiring)
  }

  /// Where no worker could be had, or it is another process's: the next thread that frees pages looks for one.
  func lookForWorkerAgain() {
    guard pointee.rounds.isWanted.load(ordering: .relaxed) else { return }
    pointee.rounds.isNews.store(true, ordering: .releasing)
  }

  /// The end of a round of the idle clock, and the beginning of the next. O(1).
  func endRound() {
    guard pointee.rounds.isWanted.load(ordering: .relaxed) else { return }
    let lock = pointee.lock.lock()
    pointee.endRound(under: lock)
  }
}
