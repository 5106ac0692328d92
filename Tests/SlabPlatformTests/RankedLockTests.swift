// SPDX-License-Identifier: Apache-2.0
// Locks as types: how long a proof holds its lock. That a function cannot be called without a proof needs no test: the
// compiler refuses it.

import Glibc
import SlabPlatform
import SlabTestSupport
import Testing

private enum OuterLock: LockClass { static var rank: LockRank { .registry } }
private enum InnerLock: LockClass { static var rank: LockRank { .cache } }

/// Shared with the closure of an exit test.
private final class Ranked<Class: LockClass>: Sendable {
  let lock = RankedLock<Class>()

  var isFree: Bool { lock.tryLock() != nil }
}

private enum Refusal: Error { case refused, other }

@Suite(.inTurn) struct RankedLockTests {
  @Test func aProofHoldsItsLockUntilItsScopeEnds() {
    let ranked = Ranked<OuterLock>()
    do {
      let proof = ranked.lock.lock()
      #expect(!ranked.isFree)
      proof.check(ranked.lock)
    }
    #expect(ranked.isFree)
  }

  /// A function that throws lets go of its locks without saying so.
  @Test(arguments: [false, true]) func aProofEndsWithItsFunction(throwing: Bool) {
    let (outer, inner) = (Ranked<OuterLock>(), Ranked<InnerLock>())
    func work() throws(Refusal) -> Bool {
      let first = outer.lock.lock()
      first.check(outer.lock)
      guard let second = inner.lock.tryLock() else { return false }
      second.check(inner.lock)
      if throwing { throw Refusal.refused }
      return !outer.isFree && !inner.isFree
    }
    var isHeld = false
    var isRefused = false
    do throws(Refusal) { isHeld = try work() } catch { isRefused = true }
    #expect(isHeld != throwing && isRefused == throwing)
    #expect(outer.isFree && inner.isFree)
  }

  @Test func aLockIsLetGoInTheMeantime() {
    let ranked = Ranked<OuterLock>()
    var proof = ranked.lock.lock()
    var wasFree = false
    proof.letGo { wasFree = ranked.isFree }
    #expect(wasFree)
    #expect(!ranked.isFree)
    var isRefused = false
    do throws(Refusal) {
      try proof.letGo { () throws(Refusal) in throw Refusal.refused }
    } catch {
      isRefused = true
    }
    #expect(isRefused && !ranked.isFree)
    proof.unlock()
    #expect(ranked.isFree)
  }

  @Test func aLockStaysLocked() {
    let ranked = Ranked<OuterLock>()
    unsafe ranked.lock.lock().leaveLocked()
    #expect(!ranked.isFree)
    unsafe ranked.lock.alreadyHeld().unlock()
    #expect(ranked.isFree)
  }

  #if DEBUG
    @Test func aProofOfALockThatIsNotHeldEndsTheProcess() async {
      let result = await #expect(
        processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
      ) {
        _ = signal(SIGABRT, SIG_DFL)
        let ranked = Ranked<OuterLock>()
        unsafe ranked.lock.alreadyHeld().unlock()
      }
      let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
      #expect(text == "slab: lock: the proof of a lock that is not held\n")
    }

    @Test func theProofOfAnotherLockEndsTheProcess() async {
      let result = await #expect(
        processExitsWith: .signal(SIGABRT), observing: [\.standardErrorContent]
      ) {
        _ = signal(SIGABRT, SIG_DFL)
        let (held, needed) = (Ranked<InnerLock>(), Ranked<InnerLock>())
        let proof = held.lock.lock()
        proof.check(needed.lock)
      }
      let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
      #expect(text == "slab: lock: the proof of another lock of its class\n")
    }
  #endif
}
