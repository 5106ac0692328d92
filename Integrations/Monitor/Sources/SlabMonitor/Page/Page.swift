// SPDX-License-Identifier: Apache-2.0
internal import FoundationEssentials
internal import SlabPlots

/// The files of the page: the same for everyone, and without any of the process's data.
enum Page {
  static func file(at path: String) -> Response? {
    switch path {
    case "/": Response("text/html; charset=utf-8", Data(PackageResources.page_html))
    case "/page.css": Response("text/css; charset=utf-8", Data(PackageResources.page_css))
    case "/page.js": Response("text/javascript; charset=utf-8", Data(PackageResources.page_js))
    case "/treemap.css":
      Response("text/css; charset=utf-8", Data(SlabPlots.treemapStyle.utf8))
    case "/treemap.js":
      Response("text/javascript; charset=utf-8", Data(SlabPlots.treemapScript.utf8))
    // Browsers ask for it by themselves.
    case "/favicon.ico": Response("204 No Content", nil)
    default: nil
    }
  }
}
