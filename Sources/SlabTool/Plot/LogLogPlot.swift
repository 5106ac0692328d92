// SPDX-License-Identifier: Apache-2.0
// Curves on two logarithmic axes, as SVG: a slope is an exponent. The vertical axis is time in
// nanoseconds. Readable on a light and on a dark background.

import Glibc

struct LogLogPlot {
  struct Point: Equatable {
    var horizontal: Double
    var vertical: Double
  }

  struct Curve {
    var title: String
    var measured: [Point]
    /// Behind the measured ones; drawn dashed, from the last measured one on.
    var extrapolated: [Point]
  }

  var title: String
  var horizontalTitle: String
  var curves: [Curve]

  private static let width = 760.0
  private static let height = 480.0
  private static let left = 84.0
  private static let right = 24.0
  private static let top = 56.0
  private static let bottom = 56.0

  func svg() -> String {
    let points = curves.flatMap { $0.measured + $0.extrapolated }
    let horizontal = LogAxis(
      covering: points.map(\.horizontal), from: Self.left, to: Self.width - Self.right)
    let vertical = LogAxis(
      covering: points.map(\.vertical), from: Self.height - Self.bottom, to: Self.top)
    return head() + grid(horizontal, vertical)
      + curves.enumerated().map { number, curve in
        draw(curve, number, horizontal, vertical)
      }.joined()
      + legend() + "</svg>\n"
  }

  private func head() -> String {
    let (width, height) = (Self.number(Self.width), Self.number(Self.height))
    return """
      <?xml version="1.0" encoding="UTF-8"?>
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(width) \(height)" \
      width="\(width)" height="\(height)" role="img">
      <title>\(Self.escaped(title))</title>
      <style>
      .paper { fill: #ffffff } .text { fill: #1f2328; font: 13px sans-serif }
      .heading { font-size: 16px } .grid { stroke: #d8dee4; stroke-width: 1 }
      .curve { fill: none; stroke-width: 2.5 } .extrapolated { stroke-dasharray: 7 5 }
      .hue0 { stroke: #cf222e } .hue1 { stroke: #0969da }
      .dot0 { fill: #cf222e } .dot1 { fill: #0969da }
      @media (prefers-color-scheme: dark) {
      .paper { fill: #0d1117 } .text { fill: #e6edf3 } .grid { stroke: #30363d }
      .hue0 { stroke: #ff7b72 } .hue1 { stroke: #79c0ff }
      .dot0 { fill: #ff7b72 } .dot1 { fill: #79c0ff }
      }
      </style>
      <rect class="paper" width="\(width)" height="\(height)"/>
      \(text(title, Self.left, 28, "text heading"))
      \(text(
        horizontalTitle, (Self.left + Self.width - Self.right) / 2, Self.height - 14, "text",
        anchor: "middle"))

      """
  }

  private func grid(_ horizontal: LogAxis, _ vertical: LogAxis) -> String {
    var svg = ""
    for tick in horizontal.ticks {
      let x = horizontal.position(of: tick)
      svg += line(x, Self.top, x, Self.height - Self.bottom)
      svg += text(Int(tick).grouped, x, Self.height - Self.bottom + 19, "text", anchor: "middle")
      svg += "\n"
    }
    for tick in vertical.ticks {
      let y = vertical.position(of: tick)
      svg += line(Self.left, y, Self.width - Self.right, y)
      svg += text(Self.time(tick), Self.left - 9, y + 4, "text", anchor: "end") + "\n"
    }
    return svg
  }

  private func draw(
    _ curve: Curve, _ number: Int, _ horizontal: LogAxis, _ vertical: LogAxis
  ) -> String {
    func place(_ point: Point) -> String {
      Self.number(horizontal.position(of: point.horizontal)) + ","
        + Self.number(vertical.position(of: point.vertical))
    }
    func polyline(_ points: [Point], _ style: String) -> String {
      let places = points.map(place).joined(separator: " ")
      return "<polyline class=\"curve hue\(number)\(style)\" points=\"\(places)\"/>\n"
    }
    var svg = polyline(curve.measured, "")
    if !curve.extrapolated.isEmpty {
      svg += polyline(curve.measured.suffix(1) + curve.extrapolated, " extrapolated")
    }
    for point in curve.measured {
      svg += "<circle class=\"dot\(number)\" r=\"3.5\""
      svg += " cx=\"\(Self.number(horizontal.position(of: point.horizontal)))\""
      svg += " cy=\"\(Self.number(vertical.position(of: point.vertical)))\"/>\n"
    }
    return svg
  }

  private func legend() -> String {
    var entries = curves.enumerated().map { number, curve in (curve.title, "hue\(number)") }
    for (number, curve) in curves.enumerated() where !curve.extrapolated.isEmpty {
      entries.append(("\(curve.title), extrapolated", "hue\(number) extrapolated"))
    }
    return entries.enumerated().map { row, entry in
      let y = Self.top + 20 + Double(row) * 20
      let x = Self.left + 14
      return "<line class=\"curve \(entry.1)\" x1=\"\(Self.number(x))\" y1=\"\(Self.number(y))\""
        + " x2=\"\(Self.number(x + 30))\" y2=\"\(Self.number(y))\"/>"
        + text(entry.0, x + 38, y + 4, "text") + "\n"
    }.joined()
  }

  // MARK: Pieces

  private func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
    "<line class=\"grid\" x1=\"\(Self.number(x1))\" y1=\"\(Self.number(y1))\""
      + " x2=\"\(Self.number(x2))\" y2=\"\(Self.number(y2))\"/>"
  }

  private func text(
    _ text: String, _ x: Double, _ y: Double, _ style: String, anchor: String = "start"
  ) -> String {
    "<text class=\"\(style)\" x=\"\(Self.number(x))\" y=\"\(Self.number(y))\""
      + " text-anchor=\"\(anchor)\">\(Self.escaped(text))</text>"
  }

  /// A time on the axis, which is a whole number of its unit.
  private static func time(_ nanoseconds: Double) -> String {
    var (value, unit) = (nanoseconds, 0)
    let units = ["ns", "µs", "ms", "s"]
    while value >= 1000, unit + 1 < units.count {
      value /= 1000
      unit += 1
    }
    return "\(Int(value.rounded()).grouped) \(units[unit])"
  }

  /// With one decimal.
  private static func number(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

  static func escaped(_ text: String) -> String {
    var escaped = ""
    for character in text {
      switch character {
      case "&": escaped += "&amp;"
      case "<": escaped += "&lt;"
      case ">": escaped += "&gt;"
      case "\"": escaped += "&quot;"
      default: escaped.append(character)
      }
    }
    return escaped
  }
}

/// A logarithmic axis between two whole ticks of 1, 2 and 5 times the powers of ten.
struct LogAxis {
  private let first: Double
  private let last: Double
  private let start: Double
  private let end: Double

  /// Covers the values, all of which are above 0, from one place to another.
  init(covering values: [Double], from start: Double, to end: Double) {
    let least = max(values.min() ?? 1, 1)
    let most = max(values.max() ?? 10, least)
    let first = Self.allTicks.last { $0 <= least } ?? 1
    self.first = first
    last = Self.allTicks.first { $0 >= most && $0 > first } ?? most
    self.start = start
    self.end = end
  }

  private static let allTicks = (0..<19).flatMap { power in
    [1, 2, 5].map { $0 * pow(10, Double(power)) }
  }

  func position(of value: Double) -> Double {
    start + (end - start) * log(max(value, first) / first) / log(last / first)
  }

  /// Those to be labelled: powers of ten alone where there are many.
  var ticks: [Double] {
    let all = Self.allTicks.filter { $0 >= first && $0 <= last }
    return all.count <= 10 ? all : all.filter { log10($0).rounded() == log10($0) }
  }
}
