// SPDX-License-Identifier: Apache-2.0

/// Metrics of one name.
struct MetricFamily: Sendable {
  enum Kind: Sendable { case counter, gauge, histogram }

  struct Point: Sendable {
    let labels: [(name: String, value: String)]
    let value: String
  }

  /// Without `_total`.
  let name: String
  let kind: Kind
  let help: String
  var points: [Point] = []
  /// Of a histogram.
  var buckets: Histogram? = nil

  init(_ name: String, _ kind: Kind, _ help: String) {
    self.name = name
    self.kind = kind
    self.help = help
  }

  init(_ name: String, _ kind: Kind, _ help: String, _ value: some Numeric) {
    self.init(name, kind, help)
    add([], value)
  }

  mutating func add(_ labels: [(name: String, value: String)], _ value: some Numeric) {
    points.append(Point(labels: labels, value: "\(value)"))
  }
}

/// Writes metrics as Prometheus reads them.
struct Exposition {
  enum Format: Sendable, Equatable {
    /// Prometheus' own text.
    case text
    case openMetrics

    var type: String {
      switch self {
      case .text: "text/plain; version=0.0.4; charset=utf-8"
      case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
      }
    }

    /// What a client likes best by its header `Accept`; the text where it does not say. Prometheus names OpenMetrics
    /// first, a browser nothing of the kind.
    init(accept header: String?) {
      var (openMetrics, text) = (0.0, 0.0)
      for range in (header ?? "").split(separator: ",") {
        let parts = range.split(separator: ";").map { $0.trimmed.lowercased() }
        var weight = 1.0
        for parameter in parts.dropFirst() where parameter.hasPrefix("q=") {
          weight = Double(parameter.dropFirst(2)) ?? 0
        }
        switch parts.first {
        case "application/openmetrics-text":
          let version = parts.first { $0.hasPrefix("version=") }?.dropFirst(8)
          // One that is asked for without a version is the newest; of 0.0.1 the text differs.
          if version == nil || version == "1.0.0" { openMetrics = max(openMetrics, weight) }
        case "text/plain", "text/*", "*/*": text = max(text, weight)
        default: break
        }
      }
      self = openMetrics > 0 && openMetrics >= text ? .openMetrics : .text
    }
  }

  private let format: Format

  init(_ format: Format) { self.format = format }

  func text(of families: [MetricFamily]) -> String {
    var text = ""
    for family in families where !family.points.isEmpty || family.buckets != nil {
      write(family, to: &text)
    }
    if format == .openMetrics { text += "# EOF\n" }
    return text
  }

  private func write(_ family: MetricFamily, to text: inout String) {
    let total = family.kind == .counter ? "\(family.name)_total" : family.name
    let name = format == .openMetrics ? family.name : total
    text += "# HELP \(name) \(escaped(family.help))\n# TYPE \(name) \(word(for: family.kind))\n"
    if format == .openMetrics, let unit = Self.unit(of: family.name) {
      text += "# UNIT \(name) \(unit)\n"
    }
    for point in family.points {
      text += total
      if !point.labels.isEmpty {
        let labels = point.labels.map { "\($0.name)=\"\(Self.escaped(label: $0.value))\"" }
        text += "{\(labels.joined(separator: ","))}"
      }
      text += " \(point.value)\n"
    }
    if let buckets = family.buckets { write(buckets, of: family.name, to: &text) }
  }

  /// Groups come and go, so the buckets fall as well: OpenMetrics has a kind for that.
  private func word(for kind: MetricFamily.Kind) -> String {
    switch kind {
    case .counter: "counter"
    case .gauge: "gauge"
    case .histogram: format == .openMetrics ? "gaugehistogram" : "histogram"
    }
  }

  private func write(_ histogram: Histogram, of name: String, to text: inout String) {
    var count = 0
    for (index, here) in histogram.counts.enumerated() {
      count += here
      let bound =
        index < Histogram.bounds.count ? Self.canonical(Histogram.bounds[index]) : "+Inf"
      text += "\(name)_bucket{le=\"\(bound)\"} \(count)\n"
    }
    let prefix = format == .openMetrics ? "g" : ""
    text += "\(name)_\(prefix)sum \(histogram.sum)\n\(name)_\(prefix)count \(count)\n"
  }

  private static func unit(of name: String) -> String? {
    ["bytes", "seconds"].first { name.hasSuffix("_\($0)") }
  }

  /// A bound as OpenMetrics wants it, a number with a fraction, and with an exponent from a million on.
  static func canonical(_ bytes: Int) -> String {
    guard bytes >= 1_000_000 else { return "\(bytes).0" }
    let digits = "\(bytes)"
    var fraction = digits.dropFirst()
    while fraction.last == "0" { fraction.removeLast() }
    let exponent = digits.count - 1
    let mantissa = "\(digits.first!).\(fraction.isEmpty ? "0" : fraction)"
    return "\(mantissa)e+\(exponent < 10 ? "0" : "")\(exponent)"
  }

  static func escaped(label value: String) -> String {
    var text = ""
    for character in value.unicodeScalars {
      switch character {
      case "\\": text += "\\\\"
      case "\"": text += "\\\""
      case "\n": text += "\\n"
      default: text.unicodeScalars.append(character)
      }
    }
    return text
  }

  private func escaped(_ help: String) -> String {
    format == .openMetrics
      ? Self.escaped(label: help)
      : help.split(separator: "\\", omittingEmptySubsequences: false).joined(separator: "\\\\")
        .split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\\n")
  }
}
