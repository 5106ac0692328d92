// SPDX-License-Identifier: Apache-2.0
// Just enough JSON to write.

indirect enum JSONValue {
  case object([(String, JSONValue)])
  case array([JSONValue])
  case number(Double)
  case integer(Int)
  case string(String)
  case boolean(Bool)
  case null

  var text: String {
    switch self {
    case .object(let members):
      "{" + members.map { Self.quoted($0.0) + ":" + $0.1.text }.joined(separator: ",") + "}"
    case .array(let elements): "[" + elements.map(\.text).joined(separator: ",") + "]"
    case .number(let value): value.isFinite ? "\(value)" : "null"
    case .integer(let value): "\(value)"
    case .string(let value): Self.quoted(value)
    case .boolean(let value): value ? "true" : "false"
    case .null: "null"
    }
  }

  private static func quoted(_ string: String) -> String {
    var text = "\""
    for scalar in string.unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case _ where scalar.value < 0x20:
        let hexadecimal = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - hexadecimal.count) + hexadecimal
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
