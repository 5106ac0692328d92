// SPDX-License-Identifier: Apache-2.0
// What ends a run.

enum BenchError: Error, CustomStringConvertible {
  case cannotStart(command: String)
  case childFailed(command: String, status: Int)
  case notLoaded(library: String)
  case keyMissing(key: String)
  case toolMissing(tool: String, package: String)
  case toolSilent(tool: String)

  var description: String {
    switch self {
    case .cannotStart(let command): "cannot start: \(command)"
    case .childFailed(let command, let status): "status \(status) of: \(command)"
    case .notLoaded(let library): "\(library) was to be preloaded and is not there"
    case .keyMissing(let key): "a measurement did not say \(key)"
    case .toolMissing(let tool, let package):
      "\(tool) is not installed: apt-get install -y \(package)"
    case .toolSilent(let tool): "\(tool) did not print the count"
    }
  }
}
