// SPDX-License-Identifier: Apache-2.0
// The page of `slab report`: one file with style, script and data in it, which loads nothing.

/// A page that shows snapshots.
package enum ReportPage {
  /// - Parameter data: a JSON object, as report.js reads it.
  package static func html(data: String) -> String {
    func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
    let parts = [
      "@style@": SlabPlots.treemapStyle + text(PackageResources.report_css),
      // Nothing in a name ends the element.
      "@data@": data.split(separator: "<", omittingEmptySubsequences: false)
        .joined(separator: "\\u003c"),
      "@script@": SlabPlots.treemapScript + text(PackageResources.report_js),
    ]
    var page = ""
    for piece in text(PackageResources.report_html).split(separator: "@") {
      page += parts["@\(piece)@"] ?? String(piece)
    }
    return page
  }
}
