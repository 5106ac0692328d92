// SPDX-License-Identifier: Apache-2.0
// The script and the style of the pages that show an allocator. They are files beside this one, compiled into the
// program: a page needs no folder of resources and no network.

/// Parts of HTML pages that show what an allocator has.
public enum SlabPlots {
  /// The class `SlabTreemap`, which draws the groups of a snapshot by their memory: for a `<script>`.
  public static var treemapScript: String {
    String(decoding: PackageResources.treemap_js, as: UTF8.self)
  }

  /// Its style, for light and dark: for a `<style>`.
  public static var treemapStyle: String {
    String(decoding: PackageResources.treemap_css, as: UTF8.self)
  }
}
