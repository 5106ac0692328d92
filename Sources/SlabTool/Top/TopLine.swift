// SPDX-License-Identifier: Apache-2.0
// One line of the screen: pieces of text, each with what it means. A terminal makes colours of that, or none.

struct TopLine: Equatable {
  enum Style: Equatable {
    case plain, title, heading, selected, faint, warning, alarm
  }

  struct Piece: Equatable {
    var text: String
    var style: Style
  }

  private(set) var pieces: [Piece]

  init(_ text: String, _ style: Style = .plain) {
    pieces = []
    add(text, style)
  }

  mutating func add(_ text: String, _ style: Style = .plain) {
    pieces.append(Piece(text: TextCell.printable(text), style: style))
  }

  /// All of one style, as a line that is chosen has it.
  func styled(_ style: Style) -> TopLine { TopLine(text, style) }

  var text: String { pieces.map(\.text).joined() }

  /// Cut to that many columns, and padded if it is to fill them.
  func fitted(to columns: Int, isFilled: Bool = false) -> TopLine {
    var left = columns
    var line = self
    line.pieces = []
    for piece in pieces where left > 0 {
      let width = TextCell.width(piece.text)
      let text = width <= left ? piece.text : TextCell.left(piece.text, left)
      line.pieces.append(Piece(text: text, style: piece.style))
      left -= min(width, left)
    }
    if isFilled, left > 0 {
      let style = line.pieces.last?.style ?? .plain
      line.pieces.append(Piece(text: String(repeating: " ", count: left), style: style))
    }
    return line
  }

  /// The characters for a terminal.
  func rendered(_ look: TerminalLook) -> String {
    guard look != .text else { return text }
    return pieces.map { piece in
      let codes = look.codes(piece.style)
      return codes.isEmpty ? piece.text : "\u{1B}[\(codes)m\(piece.text)\u{1B}[0m"
    }.joined()
  }
}

/// What a terminal can show.
enum TerminalLook: Equatable {
  case colours
  /// Bold and inverse, as NO_COLOR asks.
  case monochrome
  /// No control sequences at all.
  case text

  init(environment: [String: String], isTerminal: Bool) {
    let term = environment["TERM"] ?? ""
    self =
      if !isTerminal || term.isEmpty || term == "dumb" {
        .text
      } else if environment["NO_COLOR"]?.isEmpty == false {
        .monochrome
      } else {
        .colours
      }
  }

  fileprivate func codes(_ style: TopLine.Style) -> String {
    switch style {
    case .plain: ""
    case .title: "1"
    case .heading: self == .colours ? "1;7" : "7"
    case .selected: "7"
    case .faint: self == .colours ? "2" : ""
    case .warning: self == .colours ? "33" : ""
    case .alarm: self == .colours ? "1;31" : "1"
    }
  }
}
