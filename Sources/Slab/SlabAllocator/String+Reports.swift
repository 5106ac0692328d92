// Names stand in columns of reports and in paths, on terminals: the core refuses what breaks these in
// ASCII, and here is the rest of Unicode.

extension String {
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
