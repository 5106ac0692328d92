// The life of a cache, as a table. docs/life-cycle.md has the picture; this file has the rule.
//
//   state         who moves it on, under which lock             who may still touch the descriptor
//   ------------  --------------------------------------------  ----------------------------------
//   active        fence worker, after offline(group) or         everybody
//                 destroy(root); cache lock
//   deactivating  fence worker, after the fence and the drain;  frees; allocations that fetched the
//                 cache lock                                     pointer before, which fail
//   deactivated   whoever gives its last slab back (a free,     frees of its live objects; holders
//                 the fence worker at once, or the discard       of a group handle, who fail; the
//                 worker); cache lock                            reparenting and the discard worker
//   dying         destroy worker, by shutdown: out of every     the destroy queue and its worker;
//                 list; registry lock                            holders of a group handle, who fail
//   shutDown      plain: whoever drops the group's last         holders of a group handle, who fail
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

/// The life of a group.
///
///     online   -> offline   offline(group), under the registry lock
///     offline  -> drained   fence worker, under the registry lock
///     drained  -> reparenting
///                           by whoever finds, under the registry lock, that it has caches and no
///                           child group and no handle any more, if its policy is `reparent`
///     released              by whoever finds, under the registry lock, that it is drained and has
///                           no cache, no child group and no handle any more
///     reparenting -> reparented
///                           the worker that moved its caches, which releases it too, unless type-safe
///                           caches of it await their barrier
package enum GroupState: UInt8, Sendable {
  case online
  case offline
  case drained
  case reparenting
  case reparented

  /// Whether its charges and its caches are its parent's, or about to be.
  var hasHandedOver: Bool { rawValue >= GroupState.reparenting.rawValue }
}
