// SPDX-License-Identifier: Apache-2.0
@main struct Main {
  static func main() {
    let result = use(0)
    guard result == 42 else { fatalError("\(result) instead of 42") }
  }
}
