// SPDX-License-Identifier: Apache-2.0
// What each key does to the model and to the view.

struct TopControl {
  var model = TopModel()
  var view = TopView()
  /// Rows of the active pane that the screen has: how far a page goes.
  var pageRows = 10
  private(set) var isOver = false

  mutating func handle(_ key: TopKey) {
    if view.filterDraft != nil { return type(key) }
    if view.isHelpShown {
      view.isHelpShown = false
      if key != .character("q") { return }
    }
    switch key {
    case .up, .character("k"): move(-1)
    case .down, .character("j"): move(1)
    case .pageUp: move(-pageRows)
    case .pageDown: move(pageRows)
    case .home, .character("g"): move(-Int.max / 2)
    case .end, .character("G"): move(Int.max / 2)
    case .tab: model.options.pane = model.options.pane == .groups ? .caches : .groups
    case .character("z"): model.options.isZoomed.toggle()
    case .character("q"): isOver = true
    case .character("?"), .character("h"): view.isHelpShown = true
    case .character("/"): view.filterDraft = model.options.filter
    case .escape: model.options.filter = ""
    case .character(" "): model.options.isFrozen.toggle()
    case .character("s"): changeOrder(forward: true)
    case .character("S"): changeOrder(forward: false)
    case .character("r"): model.options.isReversed.toggle()
    case .character("d"): model.options.onlyDying.toggle()
    case .enter, .character("+"), .character("-"): fold { $0.toggleFold($1.key) }
    case .left: goLeft()
    case .right: fold { if $1.isFolded { $0.toggleFold($1.key) } }
    case .character("C"): model.foldAll()
    case .character("E"): model.options.folded = []
    default: break
    }
  }

  private mutating func type(_ key: TopKey) {
    var draft = view.filterDraft ?? ""
    switch key {
    case .enter: view.filterDraft = nil
    case .escape:
      view.filterDraft = nil
      model.options.filter = ""
    case .backspace:
      if !draft.isEmpty { draft.removeLast() }
      change(to: draft)
    case .character(let character): change(to: draft + String(character))
    default: break
    }
  }

  /// The rows follow what is typed.
  private mutating func change(to draft: String) {
    view.filterDraft = draft
    model.options.filter = draft
  }

  private mutating func move(_ rows: Int) {
    if model.options.pane == .groups {
      view.groups.selected = max(0, min(view.groups.selected + rows, model.groupRows.count - 1))
    } else {
      view.caches.selected = max(0, min(view.caches.selected + rows, model.cacheRows.count - 1))
    }
  }

  private mutating func changeOrder(forward: Bool) {
    // Forward once, or as often as there are orders less one.
    if model.options.pane == .groups {
      for _ in 0..<(forward ? 1 : GroupOrder.allCases.count - 1) {
        model.options.groupOrder = model.options.groupOrder.next
      }
    } else {
      for _ in 0..<(forward ? 1 : CacheOrder.allCases.count - 1) {
        model.options.cacheOrder = model.options.cacheOrder.next
      }
    }
  }

  private mutating func fold(_ body: (inout TopModel, TopModel.GroupRow) -> Void) {
    guard model.options.pane == .groups, let row = selectedRow else { return }
    body(&model, row)
  }

  private mutating func goLeft() {
    guard model.options.pane == .groups, let row = selectedRow else { return }
    if row.hasChildren, !row.isFolded {
      model.toggleFold(row.key)
    } else if let parent = model.parentKey(of: row.key),
      let place = model.groupRows.firstIndex(where: { $0.key == parent })
    {
      view.groups.selected = place
    }
  }

  private var selectedRow: TopModel.GroupRow? {
    let rows = model.groupRows
    return rows.indices.contains(view.groups.selected) ? rows[view.groups.selected] : nil
  }

  /// The next snapshot; the bar stays on its group.
  mutating func take(_ snapshot: ObservedSnapshot) {
    let key = selectedRow?.key
    model.take(snapshot)
    view.message = nil
    if let key, view.groups.selected > 0,
      let place = model.groupRows.firstIndex(where: { $0.key == key })
    {
      view.groups.selected = place
    }
  }

  mutating func screen(columns: Int, rows: Int) -> [TopLine] {
    pageRows = max(rows / 2, 1)
    return view.screen(model, columns: columns, rows: rows)
  }
}
