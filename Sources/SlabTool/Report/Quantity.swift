// SPDX-License-Identifier: Apache-2.0
// Numbers as reports show them: in the unit that fits.

enum Quantity {
  static func duration(nanoseconds: Int) -> String {
    scaled(Double(nanoseconds), by: 1000, units: ["ns", "µs", "ms", "s"])
  }

  /// Also for minutes and hours.
  static func duration(seconds: Double) -> String {
    guard seconds >= 120 else { return duration(nanoseconds: Int(max(seconds, -1e9) * 1e9)) }
    // What an estimate can amount to has an end.
    let whole = Int(min(seconds, 1e15))
    return whole < 7200
      ? "\(whole / 60) min \(whole % 60) s"
      : "\((whole / 3600).grouped) h \(whole / 60 % 60) min"
  }

  static func bytes(_ bytes: Int) -> String {
    scaled(Double(bytes), by: 1024, units: ["B", "KiB", "MiB", "GiB"])
  }

  /// A ratio to the digit that is worth reading: 0.97, 9.4, 152.
  static func ratio(_ ratio: Double) -> String {
    let places = ratio >= 100 ? 0 : ratio >= 3 ? 1 : 2
    let factor = [1, 10, 100][places]
    let scaled = Int((min(max(ratio, 0), 1e15) * Double(factor)).rounded())
    guard places > 0 else { return scaled.grouped }
    let digits = String(scaled % factor)
    let fraction = String(repeating: "0", count: places - digits.count) + digits
    return "\((scaled / factor).grouped).\(fraction)"
  }

  /// The value in the greatest unit of which it has at least one.
  private static func scaled(_ value: Double, by factor: Double, units: [String]) -> String {
    var (magnitude, unit) = (min(abs(value), 1e20), 0)
    while magnitude >= factor, unit + 1 < units.count {
      magnitude /= factor
      unit += 1
    }
    let tenths = Int((magnitude * 10).rounded())
    let text = unit == 0 ? (tenths / 10).grouped : "\((tenths / 10).grouped).\(tenths % 10)"
    return "\(value < 0 ? "-" : "")\(text) \(units[unit])"
  }
}

extension Int {
  /// The number with its thousands apart: 558,400.
  var grouped: String {
    let digits = String(magnitude)
    var text = self < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0, (digits.count - index).isMultiple(of: 3) { text += "," }
      text.append(digit)
    }
    return text
  }
}
