// SPDX-License-Identifier: Apache-2.0
// The plot: valid XML with the curves in it, and a file that is whole or not there.

import Foundation
import FoundationXML
import SlabTestSupport
import Testing

@testable import SlabTool

/// The elements of an XML text with their attributes and text; `nil` if it is none.
private final class Elements: NSObject, XMLParserDelegate {
  private(set) var all: [(name: String, attributes: [String: String], text: String)] = []

  init?(_ xml: String) {
    super.init()
    let parser = XMLParser(data: Data(xml.utf8))
    parser.delegate = self
    guard parser.parse() else { return nil }
  }

  func parser(
    _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
    qualifiedName: String?, attributes: [String: String]
  ) {
    all.append((name, attributes, ""))
  }

  func parser(_ parser: XMLParser, foundCharacters text: String) {
    all[all.count - 1].text += text
  }

  /// The places of every curve: drawn through, or dashed.
  func curves(dashed: Bool) -> [[(x: Double, y: Double)]] {
    all.filter { element in
      element.name == "polyline"
        && element.attributes["class"]!.contains("extrapolated") == dashed
    }.map { element in
      element.attributes["points"]!.split(separator: " ").map { place in
        let numbers = place.split(separator: ",").map { Double($0)! }
        return (numbers[0], numbers[1])
      }
    }
  }
}

private typealias Point = LogLogPlot.Point

private let plot = LogLogPlot(
  title: "Time & <groups> \"here\"", horizontalTitle: "groups",
  curves: [
    LogLogPlot.Curve(
      title: "then",
      measured: [100, 1000, 10_000].map { Point(horizontal: $0, vertical: $0 * 10) },
      extrapolated: [Point(horizontal: 100_000, vertical: 1_000_000)]),
    LogLogPlot.Curve(
      title: "now",
      measured: [100, 1000, 10_000, 100_000].map { Point(horizontal: $0, vertical: 2000) },
      extrapolated: []),
  ])

@Suite(.inTurn) struct PlotTests {
  @Test func curvesAndText() throws {
    let elements = try #require(Elements(plot.svg()))
    let drawn = elements.curves(dashed: false)
    #expect(drawn.map(\.count) == [3, 4])
    let dashed = elements.curves(dashed: true)
    #expect(dashed.map(\.count) == [2])
    #expect(dashed[0][0] == drawn[0][2])
    for curve in drawn + dashed {
      #expect(zip(curve, curve.dropFirst()).allSatisfy { $0.x < $1.x })
      #expect(curve.allSatisfy { 0..<760 ~= $0.x && 0..<480 ~= $0.y })
    }
    // Upwards is more, equal steps are equal factors, and what is level is level.
    #expect(drawn[0][0].y > drawn[0][1].y)
    #expect(abs((drawn[0][0].y - drawn[0][1].y) - (drawn[0][1].y - drawn[0][2].y)) < 0.3)
    #expect(Set(drawn[1].map(\.y)).count == 1)
    let texts = elements.all.filter { $0.name == "text" }.map { element in
      element.text.trimmingCharacters(in: .newlines)
    }
    for text in [
      "Time & <groups> \"here\"", "then", "now", "then, extrapolated", "100,000", "100 µs",
    ] {
      #expect(texts.contains(text), "\(text) in \(texts)")
    }
  }

  /// One point, and points whose values are the same.
  @Test func littleToDraw() throws {
    for count in 0...2 {
      let curve = LogLogPlot.Curve(
        title: "one", measured: (0..<count).map { _ in Point(horizontal: 1, vertical: 1000) },
        extrapolated: [])
      let svg = LogLogPlot(title: "", horizontalTitle: "", curves: [curve]).svg()
      let elements = try #require(Elements(svg))
      #expect(elements.curves(dashed: false)[0].count == count)
      #expect(!svg.contains("nan") && !svg.contains("inf"))
    }
  }

  @Test func axes() {
    let axis = LogAxis(covering: [312, 20_000], from: 0, to: 100)
    #expect(axis.ticks == [200, 500, 1000, 2000, 5000, 10_000, 20_000])
    #expect(axis.position(of: 200) == 0 && axis.position(of: 20_000) == 100)
    #expect(abs(axis.position(of: 2000) - 50) < 1e-9)
    let wide = LogAxis(covering: [3, 4e6], from: 0, to: 1)
    #expect(wide.ticks == [10, 100, 1000, 10_000, 100_000, 1_000_000])
  }

  /// A file that cannot be written stays what it was, and nothing else is left.
  @Test func fileIsReplacedAsAWhole() throws {
    let directory = NSTemporaryDirectory() + "slab-\(UUID().uuidString)"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: false)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let path = directory + "/plot.svg"
    func files() throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: directory).sorted()
    }
    try WholeFile.checkCanBeWritten(path)
    #expect(try files() == [])
    try WholeFile.write("first", to: path)
    try WholeFile.checkCanBeWritten(path)
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "first")
    // Through a link, which stays one.
    try FileManager.default.createSymbolicLink(
      atPath: directory + "/link", withDestinationPath: "plot.svg")
    try WholeFile.write("second", to: directory + "/link")
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "second")
    #expect(try files() == ["link", "plot.svg"])
    #expect(
      try FileManager.default.destinationOfSymbolicLink(atPath: directory + "/link") == "plot.svg")
    #expect(throws: ToolError.outputIsNoFile(path: directory)) {
      try WholeFile.write("third", to: directory)
    }
    #expect(throws: ToolError.outputIsNoFile(path: "/dev/null")) {
      try WholeFile.checkCanBeWritten("/dev/null")
    }
    #expect(throws: ToolError.cannotWriteFile(path: directory + "/no/plot", errno: ENOENT)) {
      try WholeFile.checkCanBeWritten(directory + "/no/plot")
    }
    #expect(try files() == ["link", "plot.svg"])
  }
}
