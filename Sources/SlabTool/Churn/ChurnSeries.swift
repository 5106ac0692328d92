// Churns of a growing number of groups, by the rules of one design. Time may grow faster than the
// number of groups: what would take longer than is wanted is not run but extrapolated, by the power
// law through the last two points that were measured.

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

  /// The power of the number of groups with which the total time grew between the last two points;
  /// `nil` with fewer.
  var exponent: Double? {
    guard measured.count >= 2 else { return nil }
    let (before, last) = (measured[measured.count - 2], measured[measured.count - 1])
    return log(last.totalSeconds / before.totalSeconds)
      / log(Double(last.groups) / Double(before.groups))
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
