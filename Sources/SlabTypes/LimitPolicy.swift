// SPDX-License-Identifier: Apache-2.0

/// What becomes of a group's allocation that finds no room within the limits, its own and those above it, also after a
/// reclaim. docs/limits.md has a table.
@nonexhaustive
public enum LimitPolicy: Sendable {
  /// It fails: `SlabError.limitReached`, or `nil`.
  case fail
  /// It succeeds and is charged beyond `max`, which is an event (`Events.overcharge`); only a `stop` refuses it. For code that
  /// cannot bear a refusal.
  case overcharge
}
