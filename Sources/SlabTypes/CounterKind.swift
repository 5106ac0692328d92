// SPDX-License-Identifier: Apache-2.0

/// How a counter moves.
public enum CounterKind: Sendable {
  /// It only rises.
  case count
  /// It rises and falls.
  case gauge
  /// The most that a gauge was.
  case peak
}
