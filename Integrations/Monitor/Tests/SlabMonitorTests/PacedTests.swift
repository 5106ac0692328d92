// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization
import Testing

@testable import SlabMonitor

@Suite struct PacedTests {
  private final class World: Sendable {
    let made = Atomic(0)
    let clock = Mutex(ContinuousClock.now)
    let took: Duration
    init(took: Duration) { self.took = took }

    var now: ContinuousClock.Instant { clock.withLock { $0 } }
    func pass(_ time: Duration) { clock.withLock { $0 += time } }

    func paced(every interval: Duration) -> Paced<Int> {
      Paced(
        every: interval, now: { self.now },
        {
          self.pass(self.took)
          return self.made.add(1, ordering: .relaxed).newValue
        })
    }
  }

  @Test func itIsMadeOnceInAnInterval() {
    let world = World(took: .zero)
    let paced = world.paced(every: .seconds(2))
    let start = world.now
    #expect(paced.value() == (1, due: start + .seconds(2)))
    world.pass(.milliseconds(1999))
    #expect(paced.value() == (1, due: start + .seconds(2)))
    world.pass(.milliseconds(1))
    #expect(paced.value() == (2, due: start + .seconds(4)))
  }

  @Test func whatTakesLongIsMadeLessOften() {
    let world = World(took: .seconds(1))
    let paced = world.paced(every: .seconds(2))
    let start = world.now
    #expect(paced.value() == (1, due: start + .seconds(20)))
    world.pass(.seconds(18))
    #expect(paced.value().0 == 1)
    world.pass(.seconds(1))
    #expect(paced.value().0 == 2)
  }

  @Test func allThreadsShareOne() async {
    let world = World(took: .zero)
    let paced = world.paced(every: .seconds(1))
    let values = await withTaskGroup(of: Int.self) { tasks in
      for _ in 0..<32 { tasks.addTask { paced.value().0 } }
      return await tasks.reduce(into: Set<Int>()) { $0.insert($1) }
    }
    #expect(values == [1])
  }
}
