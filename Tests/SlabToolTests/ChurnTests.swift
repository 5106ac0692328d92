// SPDX-License-Identifier: Apache-2.0
// Churns in this process, their series and their reports.

import Foundation
import Slab
import SlabTestSupport
import Testing

@testable import SlabTool

private func churn(
  _ groups: Int, caches: Int = 3, by design: SlabAllocator.Design
) throws -> ChurnFigures {
  var churn = Churn(ChurnLoad(groups: groups, caches: caches, objects: 2), by: design)
  return try churn.run()
}

/// A series whose runs took, for n groups, n^power microseconds.
private func series(
  _ design: SlabAllocator.Design, _ groups: [Int], power: Double
) throws -> ChurnSeries {
  var series = ChurnSeries(design: design)
  for number in groups {
    var figures = try churn(1, by: design)
    figures.groups = number
    figures.totalSeconds = pow(Double(number), power) / 1e6
    series.add(figures)
  }
  return series
}

@Suite(.inTurn) struct ChurnTests {
  @Test(arguments: SlabAllocator.Design.allCases)
  func everythingEnds(by design: SlabAllocator.Design) throws {
    let figures = try churn(150, by: design)
    #expect(figures.sumCheckFailures == [])
    #expect(figures.childCaches == 450)
    #expect(figures.fences == (design == .linux410 ? 150 : 0))
  }

  /// Then: each walk is one of all groups that are left, at least. Now: seven steps for each group.
  @Test func stepsGrow() throws {
    for groups in [200, 400] {
      #expect(try churn(groups, by: .linux410).listSteps > 9 * groups * groups / 2)
    }
    let fewer = try churn(200, by: .current).listSteps
    #expect(try churn(400, by: .current).listSteps == fewer + 200 * (1 + 2 * 3))
  }

  @Test func sizesOfTheRuns() {
    #expect(ChurnSeries.sizes(upTo: 20_000) == [625, 1250, 2500, 5000, 10_000, 20_000])
    #expect(ChurnSeries.sizes(upTo: 10) == [1, 2, 5, 10])
    #expect(ChurnSeries.sizes(upTo: 1) == [1])
    for groups in [7, 500, 501, 999_999] {
      let sizes = ChurnSeries.sizes(upTo: groups)
      #expect(sizes.last == groups && zip(sizes, sizes.dropFirst()).allSatisfy { $0 < $1 })
    }
  }

  /// What would take too long is not run, and is on the curve through the last two points.
  @Test func estimates() throws {
    var quadratic = try series(.linux410, [1000, 2000, 4000], power: 2)
    #expect(abs(quadratic.exponent! - 2) < 1e-9)
    let load = ChurnLoad(groups: 400_000, caches: 5, objects: 2)
    try quadratic.add(load, mostSeconds: 100)
    let estimate = try #require(quadratic.extrapolated.last)
    #expect(quadratic.measured.count == 3)
    #expect(abs(estimate.totalSeconds - 160_000) < 1e-3)
    #expect(quadratic.figures(groups: 400_000) == nil)
    #expect(quadratic.totalSeconds(groups: 400_000) == estimate.totalSeconds)
    // Not above the power of the walks; a bend long before the end has no part in it.
    #expect(try series(.linux410, [1000, 2000, 4000], power: 2.6).exponent == 2)
    var bent = try series(.current, [50], power: 2)
    for figures in try series(.current, [1000, 2000, 4000, 8000], power: 1).measured {
      bent.add(figures)
    }
    #expect(abs(bent.exponent! - 1) < 1e-9)
    // Too few points for a curve.
    #expect(try series(.linux410, [1000], power: 2).estimate(groups: 2000) == nil)

    let linear = try series(.current, [1000, 2000, 4000, 400_000], power: 1)
    let report = ChurnReport(load: load, series: [quadratic, linear], mostSeconds: 100)
    let text = report.text()
    #expect(text.contains(#/total time +44 h 26 min\* +400\.0 ms +400,000\n/#))
    #expect(text.contains(#/400,000 +400\.0 ms\* +1\.0 µs +400,000\n/#))
    #expect(
      text.contains(
        "* not run: 400,000 groups of 5 (Linux 4.10) would take 44 h 26 min, more "
          + "than --most-seconds 100; extrapolated from 1,000 to 4,000 groups with exponent "
          + "2.00\n"))
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(report.json().utf8)) as? [String: Any])
    let old = try #require(json["4.10"] as? [String: Any])
    #expect((old["extrapolated"] as? [[String: Any]])?.first?["total_seconds"] as? Double != nil)
    #expect(old["figures"] == nil)
    let ratio = try #require(json["ratio"] as? [String: Any])
    #expect(abs((ratio["total_seconds"] as? Double ?? 0) - 400_000) < 1)
    #expect(ratio["list_steps"] == nil)
  }

  @Test func quantities() {
    #expect(Quantity.duration(seconds: 1.5) == "1.5 s")
    #expect(Quantity.duration(seconds: 125) == "2 min 5 s")
    #expect(Quantity.duration(seconds: 9600) == "2 h 40 min")
    #expect(Quantity.duration(seconds: .infinity).hasSuffix(" h 46 min"))
    #expect(Quantity.duration(nanoseconds: -1500) == "-1.5 µs")
    #expect(Quantity.duration(nanoseconds: .min) == "-9,223,372,036.9 s")
    #expect(Quantity.bytes(.min) == "-8,589,934,592.0 GiB" && Quantity.bytes(-7) == "-7 B")
    #expect(Quantity.duration(seconds: -.infinity) == "-1,000,000,000.0 s")
    #expect(
      [0.966, 2, 9.04, 99.96, 12_345].map(Quantity.ratio)
        == ["0.97", "2.00", "9.0", "100.0", "12,345"])
  }
}
