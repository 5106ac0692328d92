// SPDX-License-Identifier: Apache-2.0
// The lines above the panes: the process, its memory, and the endings that are under way.

enum TopSummary {
  static func lines(_ model: TopModel, title: String) -> [TopLine] {
    guard let snapshot = model.snapshot else {
      return [TopLine("slab top  \(title)", .title), TopLine("waiting for the first answer")]
    }
    func value(_ name: String) -> String { snapshot[counter: name].grouped }
    func bytes(_ name: String) -> String { TopTables.bytes(snapshot[counter: name]) }
    func rate(_ name: String) -> String {
      model.counterRates[name].map { "\(Int(nearest: $0).grouped)/s" } ?? "-/s"
    }
    var first = TopLine("slab top", .title)
    if let process = snapshot.process { first.add("  \(process.name) (\(process.id))") }
    if !title.isEmpty { first.add("  \(title)") }
    if model.options.isFrozen { first.add("  FROZEN", .alarm) }
    let shown = snapshot.groups.count - 1
    if shown < snapshot[counter: "groups_live"], shown >= 0 {
      first.add("  the largest \(shown.grouped) groups", .warning)
    }
    var endings = TopLine("endings ", .title)
    endings.add("\(value("pending_endings")) pending  \(value("groups_dying")) groups dying  ")
    endings.add("fences \(value("fences")) (\(rate("fences"))) ")
    endings.add("for \(value("fence_batches")) batches (\(rate("fence_batches")))")
    var barriers = TopLine("        ", .title)
    barriers.add("barriers \(value("barriers")) (\(rate("barriers"))) ")
    barriers.add("for \(value("barrier_batches")) batches, ")
    barriers.add("\(value("caches_awaiting_barrier")) await  ")
    barriers.add("callbacks \(value("pending_callbacks"))  busy \(busy(model))")
    return [
      first,
      TopLine(
        "memory  \(bytes("charged_bytes")) charged, peak \(bytes("charged_bytes_peak"))  "
          + "system \(bytes("system_bytes"))  barns \(bytes("barn_bytes"))"),
      TopLine(
        "groups  \(value("groups_live")) (\(rate("groups_created")) made, "
          + "\(rate("groups_released")) gone)  caches \(value("root_caches")), "
          + "children \(value("child_caches_live"))"),
      endings, barriers,
    ]
  }

  /// The share of a second that workers spent on endings.
  private static func busy(_ model: TopModel) -> String {
    model.counterRates["worker_nanoseconds"].map { "\(Quantity.ratio($0 / 1e7)) %" } ?? "-"
  }
}
