// SPDX-License-Identifier: Apache-2.0
// The bar on a terminal of any width, through a pseudo-terminal.

import Glibc
import Testing

@testable import SlabTool

/// A terminal, and what a program has written to it.
struct Terminal: ~Copyable {
  let controller: Descriptor
  let program: Descriptor

  init(columns: UInt16) {
    var ends: (controller: CInt, program: CInt) = (-1, -1)
    // SAFETY: openpty writes the two numbers.
    #expect(unsafe openpty(&ends.controller, &ends.program, nil, nil, nil) == 0)
    controller = Descriptor(owning: ends.controller)
    program = Descriptor(owning: ends.program)
    resize(to: columns)
  }

  /// Where another program opens it.
  var path: String { "/proc/\(getpid())/fd/\(program.number)" }

  func resize(to columns: UInt16) {
    var size = winsize(ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
    // SAFETY: the request reads the structure that it is given.
    #expect(unsafe ioctl(controller.number, UInt(TIOCSWINSZ), &size) == 0)
  }

  /// What was written since the last call. The kernel passes it on in the background, in pieces: all has come when
  /// a mark that is written behind it has.
  func written() throws -> String {
    let mark: UInt8 = 1
    #expect(unsafe write(program.number, [mark], 1) == 1)
    var text: [UInt8] = []
    while text.last != mark {
      var bytes = [UInt8](repeating: 0, count: 4096)
      let count = try Descriptor.read(controller.number, into: &bytes, from: 0, name: "terminal")
      text += bytes[..<count]
    }
    return String(decoding: text.dropLast(), as: UTF8.self)
  }
}

@Suite struct ProgressBarTests {
  private static let clear = "\r\u{1B}[K"

  @Test(arguments: [(80, 56), (40, 39), (30, 29), (20, 13), (8, 7), (2, 1), (1, 0)])
  func fitsTheTerminal(_ columns: Int, _ length: Int) throws {
    let terminal = Terminal(columns: UInt16(columns))
    var bar = ProgressBar(totalBytes: 8 << 20, on: terminal.program.number)
    bar.show(bytes: 4 << 20)
    let text = try terminal.written()
    #expect(text.hasPrefix(Self.clear))
    #expect(text.count - Self.clear.count == min(length, columns - 1))
  }

  @Test func followsTheTerminalsWidth() throws {
    let terminal = Terminal(columns: 80)
    var bar = ProgressBar(on: terminal.program.number, nanosecondsBetweenDrawings: 0)
    let line = String(repeating: "x", count: 70)
    bar.show { line }
    #expect(try terminal.written() == Self.clear + line)
    terminal.resize(to: 21)
    bar.show { line }
    #expect(try terminal.written() == Self.clear + line.prefix(20))
    terminal.resize(to: 120)
    bar.show { line }
    #expect(try terminal.written() == Self.clear + line)
  }

  @Test func aTerminalOfUnknownWidthHas80Columns() throws {
    let terminal = Terminal(columns: 0)
    var bar = ProgressBar(on: terminal.program.number)
    bar.show { String(repeating: "x", count: 200) }
    #expect(try terminal.written().count == Self.clear.count + 79)
  }

  @Test func isRemovedAtItsEnd() throws {
    let terminal = Terminal(columns: 80)
    do {
      var bar = ProgressBar(on: terminal.program.number)
      bar.show { "half" }
    }
    #expect(try terminal.written() == Self.clear + "half" + Self.clear)
  }
}
