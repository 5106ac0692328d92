// SPDX-License-Identifier: Apache-2.0
// Churns of a growing number of groups, by the rules of one design. Time may grow faster than the
// number of groups: what would take longer than is wanted is not run but extrapolated, by a power law
// fitted to the last points that were measured.

import Glibc
import Slab

struct ChurnSeries {
  /// A run that was not made.
  struct Estimate: Encodable, Equatable {
    var groups: Int
    var totalSeconds: Double
    var nsPerGroup: Double { totalSeconds * 1e9 / Double(groups) }
  }

  let design: SlabAllocator.Design
  private(set) var measured: [ChurnFigures] = []
  private(set) var extrapolated: [Estimate] = []

  init(design: SlabAllocator.Design) { self.design = design }

  /// Numbers of groups, growing to `groups`: halves of it down to 500, and at least six.
  static func sizes(upTo groups: Int) -> [Int] {
    var sizes: [Int] = []
    var size = groups
    while size > 0, size > 500 || sizes.count < 6 {
      sizes.append(size)
      size /= 2
    }
    return sizes.reversed()
  }

  /// Adds the next run, or its estimate if it would take longer than `mostSeconds`.
  mutating func add(_ load: ChurnLoad, mostSeconds: Double) throws(ToolError) {
    if let estimate = estimate(groups: load.groups), estimate.totalSeconds > mostSeconds {
      extrapolated.append(estimate)
      return
    }
    var runs: [ChurnFigures] = []
    repeat {
      var churn = Churn(load, by: design)
      runs.append(try churn.run())
    } while runs.count < 3 && runs[0].totalSeconds < Self.secondsOfALongRun
    runs.sort { $0.totalSeconds < $1.totalSeconds }
    add(runs[runs.count / 2])
  }

  /// What takes less is run three times, and the median by total time stands.
  private static let secondsOfALongRun = 1.0

  mutating func add(_ figures: ChurnFigures) { measured.append(figures) }

  /// The points that a curve is fitted to: the last four.
  var fitted: ArraySlice<ChurnFigures> { measured.suffix(4) }

  /// The power of the number of groups with which the total time grew, by least squares of the
  /// logarithms; `nil` with fewer than two points. No more than 2, the power of the walks: what is
  /// above it comes from the CPU's caches or from other processes, and is not carried on.
  var exponent: Double? {
    guard measured.count >= 2 else { return nil }
    let points = fitted.map { (x: log(Double($0.groups)), y: log($0.totalSeconds)) }
    let meanX = points.map(\.x).reduce(0, +) / Double(points.count)
    let meanY = points.map(\.y).reduce(0, +) / Double(points.count)
    let covariance = points.map { ($0.x - meanX) * ($0.y - meanY) }.reduce(0, +)
    let variance = points.map { ($0.x - meanX) * ($0.x - meanX) }.reduce(0, +)
    return min(covariance / variance, 2)
  }

  func estimate(groups: Int) -> Estimate? {
    guard let exponent, let last = measured.last else { return nil }
    let factor = pow(Double(groups) / Double(last.groups), exponent)
    return Estimate(groups: groups, totalSeconds: last.totalSeconds * factor)
  }

  /// The figures of the largest number of groups, if it was run.
  func figures(groups: Int) -> ChurnFigures? { measured.last { $0.groups == groups } }

  /// Measured or extrapolated.
  func totalSeconds(groups: Int) -> Double? {
    figures(groups: groups)?.totalSeconds
      ?? extrapolated.last { $0.groups == groups }?.totalSeconds
  }
}
