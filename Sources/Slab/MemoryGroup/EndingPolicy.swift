internal import SlabCore

/// What becomes of objects that outlive their group. In both cases they are charged to the groups
/// above it, to the byte, until they are freed.
public enum EndingPolicy: String, Sendable, CaseIterable {
  /// The group lives on as a zombie until the last of them is freed, as in Linux 4.11.
  case keep
  /// They move to the parent group as soon as nobody holds the group, which is gone then, as in
  /// Linux 5.3.
  case reparent

  var core: SlabCore.EndingPolicy {
    switch self {
    case .keep: .keep
    case .reparent: .reparent
    }
  }
}
