// SPDX-License-Identifier: Apache-2.0
// `--design` and `slab churn` as a user runs them.

import Foundation
import SlabTestSupport
import Testing

@testable import SlabTool

private func object(_ text: String) throws -> [String: Any] {
  try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
}

@Suite(.inTurn) struct DesignCommandTests {
  @Test(arguments: [("", "current"), ("--design current", "current"), ("--design 4.10", "4.10")])
  func oneDesign(_ option: String, _ name: String) throws {
    let ending = try shell("\"$slab\" replay \(option) --json")
    #expect(ending.exitCode == 0)
    #expect(ending.messages == "")
    let report = try object(ending.output)
    #expect(report["design"] as? String == name)
    #expect(report["charged"] as? Int == 43_761)
    #expect(report["sum_check_failures"] as? [String] == [])
    let steps = try #require(report["list_steps"] as? Int)
    #expect(name == "current" ? steps < 5000 : steps > 50_000)
    if name == "4.10" { #expect(report["fences"] as? Int == 50) }
  }

  @Test func bothDesigns() throws {
    let ending = try shell(
      "\"$slab\" replay --design both --json && \"$slab\" replay --design both")
    #expect(ending.exitCode == 0)
    #expect(ending.messages == "")
    let end = try #require(ending.output.range(of: "\n}\n"))
    let report = try object(String(ending.output[..<end.upperBound]))
    let old = try #require(report["4.10"] as? [String: Any])
    let new = try #require(report["current"] as? [String: Any])
    for key in ["groups", "child_caches", "charged", "groups_released", "live_at_end", "frees"] {
      #expect(old[key] as? Int == new[key] as? Int)
      #expect(old[key] as? Int != nil)
    }
    let ratio = try #require(report["ratio"] as? [String: Any])
    let steps = try #require(ratio["list_steps"] as? Double)
    #expect(steps > 10)
    let text = String(ending.output[end.upperBound...])
    #expect(text.contains(#/Linux 4.10 +current +ratio/#))
    #expect(text.contains(#/steps through lists of caches +[0-9,]+ +[0-9,]+ +[0-9.]+\n/#))
  }

  @Test(arguments: [
    ("replay --design 4.11", 64, "--design"),
    ("replay - --design both", 64, "reads the recording twice"),
    ("replay --slabinfo --design both", 64, "--slabinfo cannot be combined with --design both"),
    ("replay <(true) --design both", 1, "is not a file: it can be read only once"),
    ("churn", 64, "--groups"),
    ("churn --groups 0", 64, "--groups must be 1 to 1,000,000, not 0"),
    ("churn --groups -5", 64, "not -5"),
    ("churn --groups 1000001", 64, "--groups"),
    ("churn --groups 5 --caches 0", 64, "--caches must be 1 to 200"),
    ("churn --groups 5 --objects 1001", 64, "--objects must be 1 to 1,000"),
    ("churn --groups 5 --most-seconds 0", 64, "--most-seconds must be more than 0"),
    ("churn --groups 5 --most-seconds nan", 64, "--most-seconds"),
    ("churn --groups 5 --plot ''", 64, "--plot needs a file name"),
    ("churn --groups 5 --plot /", 1, "slab: cannot write /: it exists and is not a file"),
    ("churn --groups 5 --plot /no/such/plot", 1, "slab: cannot write /no/such/plot: No such file"),
    ("churn --groups 5 >/dev/full", 1, "slab: cannot write the report: No space left on device"),
  ])
  func errors(_ arguments: String, _ code: Int32, _ message: String) throws {
    let ending = try shell("\"$slab\" \(arguments)")
    #expect(ending.exitCode == code)
    #expect(ending.messages.contains(message))
    #expect(ending.output == "")
  }

  @Test func churnWithPlot() throws {
    let file = try TemporaryFile("", suffix: ".svg")
    let ending = try shell("\"$slab\" churn --groups 64 --json --plot \"$1\"", file.path)
    #expect(ending.exitCode == 0)
    #expect(ending.messages == "")
    let report = try object(ending.output)
    for design in ["4.10", "current"] {
      let found = try #require(report[design] as? [String: Any])
      #expect((found["measured"] as? [Any])?.count == 6)
      #expect((found["extrapolated"] as? [Any])?.count == 0)
    }
    let svg = try String(contentsOfFile: file.path, encoding: .utf8)
    #expect(svg.components(separatedBy: "<polyline ").count == 3)
  }

  /// What would take too long is said, not run.
  @Test func churnThatIsNotRun() throws {
    let ending = try shell("\"$slab\" churn --groups 1000 --design 4.10 --most-seconds 0.000001")
    #expect(ending.exitCode == 0)
    #expect(ending.output.contains("* not run: 1,000 groups of 5 (Linux 4.10) would take"))
    #expect(!ending.output.contains("ratio"))
  }
}
