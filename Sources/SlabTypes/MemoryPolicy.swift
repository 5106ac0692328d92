// SPDX-License-Identifier: Apache-2.0

/// Whose memory a group's objects are in.
@nonexhaustive
public enum MemoryPolicy: Sendable {
  /// Slabs of the group's own, which are charged by the page. No other group has an object in them, and they go back
  /// together.
  case isolated
  /// Slabs that all groups of this policy share; each object is charged by the byte, as large as its place. For many groups that
  /// have little each. Objects above 8 KiB, and those of type-safe and poisoned caches, are in slabs of the group's own all the same.
  case shared
}
