// Which rules endings follow: the present ones, or, to be set beside them, those that the series
// replaced. Chosen when an allocator is made; all else (slabs, sheaves, charges) is the same.

internal import SlabPlatform

/// By whose rules groups and caches end.
package enum LifecycleDesign: UInt8, Sendable {
  /// A list per group, a list of roots, one fence for a batch, nothing waits (docs/life-cycle.md).
  case current
  /// Linux 4.10: one list of all caches and one wait per group. See Linux410.swift.
  case linux410
}

extension Pointer where Pointee == AllocatorState {
  var isLinux410: Bool { pointee.configuration.design == .linux410 }
}
