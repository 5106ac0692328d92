// SPDX-License-Identifier: Apache-2.0
// What the core makes of its configuration.

extension AllocatorConfiguration {
  /// Threads of either kind that there can be.
  static var mostWorkers: Int { 8 }

  /// What `check` looks at.
  @usableFromInline
  package enum Setting: Equatable, Sendable {
    case addressSpaceBytes, workerLimit, callbackWorkerLimit
  }

  /// - Throws: `.invalidSetting` for the first one that is out of its bounds.
  func check() throws(AllocatorError) {
    guard addressSpaceBytes > 0 else {
      throw .invalidSetting(.addressSpaceBytes, value: addressSpaceBytes)
    }
    guard 1...Self.mostWorkers ~= workerLimit else {
      throw .invalidSetting(.workerLimit, value: workerLimit)
    }
    guard 1...Self.mostWorkers ~= callbackWorkerLimit else {
      throw .invalidSetting(.callbackWorkerLimit, value: callbackWorkerLimit)
    }
  }

  /// `stallTimeout` in whole nanoseconds: at least one for any duration above 0, as many as there can be, 0 for
  /// never.
  var stallNanoseconds: UInt64 {
    guard stallTimeout > .zero else { return 0 }
    let (seconds, attoseconds) = stallTimeout.components
    let (whole, overflows) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, carries) = whole.addingReportingOverflow(UInt64(attoseconds) / 1_000_000_000)
    return overflows || carries ? .max : max(1, sum)
  }
}
