// SPDX-License-Identifier: Apache-2.0

/// What becomes of objects that outlive their group. In both cases they are charged to the groups
/// above it, to the byte, until they are freed.
@nonexhaustive
public enum EndingPolicy: Sendable {
  /// The group lives on as a zombie until the last of them is freed, as in Linux 4.11.
  case keep
  /// They move to the parent group as soon as nothing holds the group, which is gone then, as in
  /// Linux 5.3.
  case reparent
}
