/// What becomes of objects that outlive their group.
///
/// In both cases they are charged to every group above it, to the byte, until they are freed. A
/// policy says who stands for them: the group itself, which then lives on as a zombie, or its parent.
package enum EndingPolicy: UInt8, Sendable {
  /// A group lives until its last object is freed (Linux 4.11, the series).
  case keep
  /// A group's child caches and their charges move to its parent, as soon as it is drained and has
  /// no handle and no child group any more; the group is released then (Linux 5.3).
  case reparent
}
