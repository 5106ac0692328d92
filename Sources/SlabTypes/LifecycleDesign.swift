// SPDX-License-Identifier: Apache-2.0

/// By whose rules groups and caches end. All else (slabs, sheaves, charges) is the same.
@nonexhaustive
public enum LifecycleDesign: Sendable {
  /// Nothing waits, and no ending costs more because there are others.
  case current
  /// Those of Linux 4.10, before its slab caches were made to end in a scalable way: to be
  /// measured beside the present ones, not to be used. `offline` walks all caches of the
  /// allocator twice and waits for a fence, and the end of a group walks them once more.
  case linux410
}
