// SPDX-License-Identifier: Apache-2.0
// A file that a client has open. Its text is made when it is read from the beginning, and is the same for all the pieces
// that are read of it: so no line is torn and no cache is missing or there twice, however small the pieces are. A
// client that reads from the beginning again has a new one, without opening it again, as slabtop does.

#if FUSE
  internal import Slab
  internal import Synchronization

  final class OpenFile: Sendable {
    let node: Node
    let writes: Bool
    /// Of a child's file: the cache that it was opened as one of.
    let cacheHash: UInt32
    private let state = Mutex(State())

    private struct State {
      var text: [UInt8] = []
      /// Bytes of the text that was made last; what is left of it has been read or was taken away.
      var end: Int? = nil
      var wasTakenAway = false
      /// What `memory.events` said when it was last read, and the client that waits for it to say something else.
      var events: GroupEvents? = nil
    }

    init(_ node: Node, writes: Bool, cacheHash: UInt32 = 0) {
      self.node = node
      self.cacheHash = cacheHash
      self.writes = writes
    }

    /// The bytes from an offset on. `make` is called for a new text. What is kept of it afterwards is what the client has
    /// not read: how many bytes that is more than before.
    func read(
      from offset: Int, atMost count: Int, make: () throws(FileError) -> String,
      _ body: (ArraySlice<UInt8>) -> Void
    ) throws(FileError) -> Int {
      let old = state.withLock { $0 }
      var text = old.text
      if offset > 0, let end = old.end, offset >= end {
        body([])
        return 0
      }
      if offset == 0 || text.isEmpty {
        guard offset == 0 || !old.wasTakenAway else { throw .noMemory }
        text = Array(try make().utf8)
      }
      let start = min(offset, text.count)
      let end = min(text.count, start + count)
      body(text[start..<end])
      let isThrough = end == text.count
      return state.withLock { state in
        let before = state.text.count
        state.end = text.count
        state.text = isThrough ? [] : text
        state.wasTakenAway = false
        return state.text.count - before
      }
    }

    /// Takes the text away; how many bytes that was. A client that goes on reading it is told so.
    func takeAway() -> Int {
      state.withLock { state in
        let bytes = state.text.count
        if bytes > 0 { state.wasTakenAway = true }
        state.text = []
        return bytes
      }
    }

    /// Whether the events are others than those that the client has read.
    func hasNews(_ events: GroupEvents) -> Bool {
      state.withLock { state in
        // Opened and not read: from here on.
        guard let seen = state.events else {
          state.events = events
          return false
        }
        return seen != events
      }
    }

    func note(_ events: GroupEvents) { state.withLock { $0.events = events } }
  }
#endif
