// SPDX-License-Identifier: Apache-2.0
// The values that the core has as well: clients see them as this module's. Their names in text are added here, since
// the core makes no strings.

internal import SlabCore
@_exported public import SlabTypes

extension EndingPolicy: RawRepresentable, CaseIterable {
  /// Both, in the order of their declarations. O(1).
  public static var allCases: [EndingPolicy] { [.keep, .reparent] }

  /// Its name: `keep` or `reparent`. O(1).
  public var rawValue: String {
    switch self {
    case .keep: "keep"
    case .reparent: "reparent"
    }
  }

  /// The policy of a name; `nil` if there is none. O(1).
  public init?(rawValue: String) { self.init(named: rawValue) }
}

extension LimitPolicy: RawRepresentable, CaseIterable {
  /// Both, in the order of their declarations. O(1).
  public static var allCases: [LimitPolicy] { [.fail, .overcharge] }

  /// Its name: `fail` or `overcharge`. O(1).
  public var rawValue: String {
    switch self {
    case .fail: "fail"
    case .overcharge: "overcharge"
    }
  }

  /// The policy of a name; `nil` if there is none. O(1).
  public init?(rawValue: String) { self.init(named: rawValue) }
}

extension MemoryPolicy: RawRepresentable, CaseIterable {
  /// Both, in the order of their declarations. O(1).
  public static var allCases: [MemoryPolicy] { [.isolated, .shared] }

  /// Its name: `isolated` or `shared`. O(1).
  public var rawValue: String {
    switch self {
    case .isolated: "isolated"
    case .shared: "shared"
    }
  }

  /// The policy of a name; `nil` if there is none. O(1).
  public init?(rawValue: String) { self.init(named: rawValue) }
}

extension LifecycleDesign: RawRepresentable, CaseIterable {
  /// Both, in the order of their declarations. O(1).
  public static var allCases: [LifecycleDesign] { [.current, .linux410] }

  /// Its name: `current` or `4.10`. O(1).
  public var rawValue: String {
    switch self {
    case .current: "current"
    case .linux410: "4.10"
    }
  }

  /// The design of a name; `nil` if there is none. O(1).
  public init?(rawValue: String) { self.init(named: rawValue) }
}

extension PerCPUMode: RawRepresentable, CaseIterable, Encodable {
  /// Both, in the order of their declarations. O(1).
  public static var allCases: [PerCPUMode] { [.restartableSequences, .lockedStripes] }

  /// What `SLAB_PERCPU` calls it: `rseq` or `fallback`. O(1).
  public var rawValue: String {
    switch self {
    case .restartableSequences: "rseq"
    case .lockedStripes: "fallback"
    }
  }

  /// The mode that `SLAB_PERCPU` calls so; `nil` if there is none. O(1).
  public init?(rawValue: String) { self.init(named: rawValue) }
}

extension CounterKind: RawRepresentable, CaseIterable, Encodable {
  /// All, in the order of their declarations. O(1).
  public static var allCases: [CounterKind] { [.count, .gauge, .peak] }

  /// Its name: `count`, `gauge` or `peak`. O(1).
  public var rawValue: String { "\(text)" }

  /// The kind of a name; `nil` if there is none. O(1).
  public init?(rawValue: String) { self.init(named: rawValue) }
}

extension CaseIterable where Self: RawRepresentable<String> {
  fileprivate init?(named name: String) {
    guard let found = Self.allCases.first(where: { $0.rawValue == name }) else { return nil }
    self = found
  }
}
