// SPDX-License-Identifier: Apache-2.0
// The life of a cache, as a table. docs/life-cycle.md has the picture; this file has the rule.
//
//   state         what moves it on, under which lock            what may still touch the descriptor
//   ------------  --------------------------------------------  ----------------------------------
//   active        fence worker, after close(group) or           every thread
//                 destroy(root); cache lock
//   deactivating  fence worker, after the fence and the flush;  frees; allocations that fetched the
//                 cache lock                                     pointer before, which fail
//   deactivated   the thread that gives its last slab back      frees of its live objects; holders
//                 (a free, the fence worker at once, the         of a group handle, which fail; the
//                 discard worker); cache lock                    reparenting and the discard worker
//   dying         destroy worker, by shutdown: out of every     the destroy queue and its worker;
//                 list; registry lock                            holders of a group handle, which fail
//   shutDown      plain: the thread that drops the group's last holders of a group handle, which fail
//                 handle, or the destroy worker at once;
//                 type-safe: the destroy worker, which puts
//                 it on the barrier batch; registry lock
//   awaiting-     type-safe only: the worker that finds the     the callbacks that give its slabs
//   Barrier       barrier over; registry lock                    back; holders of a group handle
//
// Released is not a state: the descriptor is an object of its cache again. There is exactly one
// transition out of each state and one mover, so a cache has exactly one owner of its final
// release.

package enum CacheState: UInt8, Sendable {
  case active
  case deactivating
  case deactivated
  case dying
  case shutDown
  case awaitingBarrier

  /// Whether the table has a step from this state to another.
  func mayBecome(_ next: CacheState) -> Bool { next.rawValue == rawValue + 1 }
}
