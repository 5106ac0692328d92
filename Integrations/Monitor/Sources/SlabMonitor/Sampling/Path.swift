// SPDX-License-Identifier: Apache-2.0
// Paths are cut by their bytes: a name may begin with a mark, as U+0301, which is one `Character` with the slash before
// it, and end with what makes one of the slash behind it.

extension StringProtocol {
  /// What tells a name or path from others: two of them may be different ones which Swift holds for equal, such as `é`
  /// in one scalar and in two.
  var key: [UInt8] { Array(utf8) }
}

extension String {
  /// The names of a path, from the root down.
  var pathNames: [String] {
    utf8.split(separator: UInt8(ascii: "/")).map { String(Substring($0)) }
  }

  /// The path of the group above; empty for the root group's.
  var pathAbove: Substring {
    self[..<(utf8.lastIndex(of: UInt8(ascii: "/")) ?? startIndex)]
  }
}
