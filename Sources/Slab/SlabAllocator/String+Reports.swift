// SPDX-License-Identifier: Apache-2.0
// Names stand in columns of reports and in paths, on terminals: the core refuses what breaks these in
// ASCII, and here is the rest of Unicode.

extension String {
  /// The whole name of a cache: its name space stands ahead of it. The first colon ends the name space,
  /// so two of them have no name in common.
  ///
  /// - Throws: `.invalidName` for a name space that is empty or has a colon, and for an empty name.
  func cacheName(in namespace: String?) throws(SlabError) -> String {
    guard let namespace else { return self }
    guard !isEmpty, !namespace.isEmpty, !namespace.utf8.contains(UInt8(ascii: ":")) else {
      throw .invalidName
    }
    return "\(namespace):\(self)"
  }

  /// - Throws: `.invalidName` for a name with blanks, control characters or characters that show nothing.
  func checkForReports() throws(SlabError) {
    for scalar in unicodeScalars {
      switch scalar.properties.generalCategory {
      case .control, .format, .spaceSeparator, .lineSeparator, .paragraphSeparator:
        throw .invalidName
      default: break
      }
    }
  }
}
