// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import SlabMonitor

@Suite struct RequestTests {
  private func head(_ text: String) -> RequestHead? { RequestHead(Array(text.utf8)[...]) }

  @Test func aHeadHasItsParts() throws {
    let head = try #require(
      self.head(
        "GET /events?group=%2Ftop%2Fa%20b&x HTTP/1.1\r\nHost:  localhost \r\nACCEPT: a\r\nAccept: b\r\n\r\n"
      ))
    #expect(head.method == "GET")
    #expect(head.path == "/events")
    #expect(head.query == ["group": "/top/a b", "x": ""])
    #expect(head.headers == ["host": "localhost", "accept": "a,b"])
    #expect(!head.hasBody)
    #expect(self.head("GET / HTTP/1.0\n\n")?.path == "/")
  }

  @Test(arguments: [
    "", "\r\n\r\n", "GET /\r\n\r\n", "GET  / HTTP/1.1\r\n\r\n", "get / HTTP/1.1\r\n\r\n",
    "GET / HTTP/2.0\r\n\r\n", "GET http://a/ HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nno colon\r\n\r\n",
    "GET / HTTP/1.1\r\n : x\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "GET /?a=%zz HTTP/1.1\r\n\r\n", "GET /?a=%4 HTTP/1.1\r\n\r\n", "GET /?a=%+4 HTTP/1.1\r\n\r\n",
    "GET /?a=%-0 HTTP/1.1\r\n\r\n",
    "GET /?a=%ff HTTP/1.1\r\n\r\n", "GET /\u{e9} HTTP/1.1\r\n\r\n", "GET /\u{1} HTTP/1.1\r\n\r\n",
  ])
  func whatIsNoHead(_ text: String) { #expect(head(text) == nil) }

  @Test func theEndIsFoundWhereverItIsCut() {
    let bytes = Array("GET / HTTP/1.1\r\nA: b\r\n\r\nbody".utf8)
    let end = bytes.count - 4
    for cut in 0...bytes.count {
      #expect(RequestHead.end(in: Array(bytes[..<cut]), from: 0) == (cut < end ? nil : end))
      // As it is read: what was looked at before is not looked at again.
      if cut < end { #expect(RequestHead.end(in: bytes, from: cut) == end) }
    }
  }

  @Test func bodies() {
    #expect(head("GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n")?.hasBody == true)
    #expect(head("GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")?.hasBody == false)
    #expect(head("GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")?.hasBody == true)
  }

  /// No bytes end the process. The seed is printed where it fails.
  @Test(arguments: 0..<20) func anyBytes(_ seed: UInt64) {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    func random(_ bound: UInt64) -> UInt64 {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return state % bound
    }
    let pieces = [
      "GET ", "/", "?", "=", "&", "%", "41", " HTTP/1.1", "\r\n", "\n", "\r", ":", "Host", " ",
      "\u{0}", "é",
    ].map { Array($0.utf8) }
    for _ in 0..<500 {
      var bytes: [UInt8] = []
      for _ in 0..<random(30) { bytes += pieces[Int(random(UInt64(pieces.count)))] }
      if let end = RequestHead.end(in: bytes, from: 0) {
        let head = RequestHead(bytes[..<end])
        #expect(head == nil || head?.path.first == "/")
      }
    }
  }
}
