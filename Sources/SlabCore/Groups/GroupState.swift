// SPDX-License-Identifier: Apache-2.0
// The life of a group, as a table; docs/life-cycle.md has the picture.

/// The life of a group.
///
///     online   -> offline   close(group), under the registry lock
///     offline  -> settled   fence worker, under the registry lock
///     settled  -> reparenting
///                           by the thread that finds, under the registry lock, that it has caches
///                           and no child group and no handle any more, if its policy is `reparent`
///     released              by the thread that finds, under the registry lock, that it is settled
///                           and has no cache, no child group and no handle any more
///     reparenting -> reparented
///                           the worker that moved its caches, which releases it too, unless type-safe
///                           caches of it await their barrier
package enum GroupState: UInt8, Sendable {
  case online
  case offline
  case settled
  case reparenting
  case reparented

  /// Whether its charges and its caches are its parent's, or about to be.
  var hasHandedOver: Bool { rawValue >= GroupState.reparenting.rawValue }
}
