// SPDX-License-Identifier: Apache-2.0
// The part of JSON Schema 2020-12 that the schemas in docs/schema use. A keyword that is not of this part is an
// error: a schema never says more than is checked.

import Foundation

struct JSONSchema {
  enum Failure: Error, Equatable {
    case unknownKeyword(String)
    case badReference(String)
  }

  private let root: [String: Any]

  private static let annotations: Set = ["$schema", "title", "description", "$defs"]
  private static let assertions: Set = [
    "type", "properties", "required", "additionalProperties", "propertyNames", "items", "enum",
    "const", "minimum", "pattern", "oneOf", "$ref",
  ]

  /// A schema of docs/schema, by its file's name.
  init(named name: String) throws {
    let file = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../docs/schema/\(name).json")
    try self.init(Data(contentsOf: file))
  }

  init(_ text: Data) throws {
    root = try JSONSerialization.jsonObject(with: text) as! [String: Any]
  }

  /// What is wrong with a value, each with its place; empty if it is as the schema has it.
  func problems(with text: String) throws -> [String] {
    let value = try JSONSerialization.jsonObject(
      with: Data(text.utf8), options: .fragmentsAllowed)
    return try problems(with: value, by: root, at: "$")
  }

  private func problems(
    with value: Any, by schema: [String: Any], at place: String
  ) throws -> [String] {
    if let unknown = schema.keys.first(where: {
      !Self.annotations.contains($0) && !Self.assertions.contains($0)
    }) {
      throw Failure.unknownKeyword(unknown)
    }
    var found: [String] = []
    if let reference = schema["$ref"] as? String {
      found += try problems(with: value, by: definition(reference), at: place)
    }
    if let type = schema["type"] as? String, !Self.is(value, type) {
      return found + ["\(place): not of type \(type)"]
    }
    if let values = schema["enum"] as? [NSObject], !values.contains(value as! NSObject) {
      found.append("\(place): none of the values")
    }
    if let constant = schema["const"] as? NSObject, constant != value as! NSObject {
      found.append("\(place): not \(constant)")
    }
    if let minimum = schema["minimum"] as? Double, let number = value as? NSNumber,
      number.doubleValue < minimum
    {
      found.append("\(place): below \(minimum)")
    }
    if let pattern = schema["pattern"] as? String, let text = value as? String,
      try text.firstMatch(of: Regex(pattern)) == nil
    {
      found.append("\(place): does not match \(pattern)")
    }
    if let choices = schema["oneOf"] as? [[String: Any]] {
      let results = try choices.map { try problems(with: value, by: $0, at: place) }
      if results.filter(\.isEmpty).count != 1 {
        found.append("\(place): not exactly one of the choices")
        found += results.min { $0.count < $1.count } ?? []
      }
    }
    if let items = schema["items"] as? [String: Any], let values = value as? [Any] {
      for (index, item) in values.enumerated() {
        found += try problems(with: item, by: items, at: "\(place)[\(index)]")
      }
    }
    if let object = value as? [String: Any] {
      found += try problems(withMembersOf: object, by: schema, at: place)
    }
    return found
  }

  private func problems(
    withMembersOf object: [String: Any], by schema: [String: Any], at place: String
  ) throws -> [String] {
    var found: [String] = []
    for key in schema["required"] as? [String] ?? [] where object[key] == nil {
      found.append("\(place): no \(key)")
    }
    let properties = schema["properties"] as? [String: [String: Any]] ?? [:]
    for (key, value) in object {
      let here = "\(place).\(key)"
      if let names = schema["propertyNames"] as? [String: Any] {
        found += try problems(with: key, by: names, at: here)
      }
      if let property = properties[key] {
        found += try problems(with: value, by: property, at: here)
      } else if let others = schema["additionalProperties"] as? [String: Any] {
        found += try problems(with: value, by: others, at: here)
      } else if schema["additionalProperties"] as? Bool == false {
        found.append("\(here): an unknown key")
      }
    }
    return found
  }

  private func definition(_ reference: String) throws -> [String: Any] {
    let prefix = "#/$defs/"
    guard reference.hasPrefix(prefix),
      let definitions = root["$defs"] as? [String: [String: Any]],
      let found = definitions[String(reference.dropFirst(prefix.count))]
    else { throw Failure.badReference(reference) }
    return found
  }

  private static func `is`(_ value: Any, _ type: String) -> Bool {
    let number = value as? NSNumber
    let isBoolean = number.map(isBoolean) ?? false
    return switch type {
    case "object": value is [String: Any]
    case "array": value is [Any]
    case "string": value is String
    case "boolean": isBoolean
    case "number": number != nil && !isBoolean
    case "integer":
      number != nil && !isBoolean && number!.doubleValue.rounded() == number!.doubleValue
    default: false
    }
  }

  /// Numbers and booleans are of one class; only a boolean is encoded as one.
  private static func isBoolean(_ number: NSNumber) -> Bool {
    guard let text = try? JSONSerialization.data(withJSONObject: [number]) else { return false }
    return text == Data("[true]".utf8) || text == Data("[false]".utf8)
  }
}
