// SPDX-License-Identifier: Apache-2.0
// One client: lines come in, an answer goes out before the next line is read. So what is kept for a client has a bound.

internal import Glibc
internal import Slab

struct ServedClient {
  static let mostRequestBytes = 8192

  let descriptor: SocketDescriptor
  private var request: [UInt8] = []
  private var answer: [UInt8] = []
  private var sent = 0
  private var isAtEnd = false

  init(_ descriptor: SocketDescriptor) { self.descriptor = descriptor }

  /// What it waits for. A line that is there already waits for its turn: the socket can be written.
  var events: Int16 {
    Int16(sent < answer.count || request.contains(UInt8(ascii: "\n")) ? POLLOUT : POLLIN)
  }

  /// Does what can be done without waiting, with one line at most. False when the client is through, or gone.
  mutating func goOn(with allocator: SlabAllocator) -> Bool {
    if sent == answer.count {
      if events == Int16(POLLIN) {
        guard let bytes = descriptor.read() else { return true }
        if bytes.isEmpty { isAtEnd = true }
        request += bytes
      }
      guard let line = nextLine() else { return !isAtEnd }
      answer = Answer.bytes(to: line, from: allocator)
      sent = 0
    }
    guard let count = descriptor.write(answer[sent...]) else { return false }
    sent += count
    guard sent == answer.count else { return true }
    answer = []
    sent = 0
    return !(isAtEnd && request.isEmpty)
  }

  private mutating func nextLine() -> String? {
    if let end = request.firstIndex(of: UInt8(ascii: "\n")) {
      defer { request.removeSubrange(...end) }
      return String(decoding: request[..<end], as: UTF8.self)
    }
    guard request.count > Self.mostRequestBytes || isAtEnd && !request.isEmpty else { return nil }
    // The last line of a client that has closed its end needs no newline; one that is too long is answered, and is
    // the last.
    isAtEnd = true
    defer { request = [] }
    return String(decoding: request, as: UTF8.self)
  }
}
