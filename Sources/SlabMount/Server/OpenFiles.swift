// SPDX-License-Identifier: Apache-2.0
// The files that clients have open, and what they may cost the process: so many files, and so many bytes of texts that
// were read in part. A file that was opened and not read costs about 200 bytes.

#if FUSE
  internal import Synchronization

  final class OpenFiles: Sendable {
    /// Beyond these `open` fails with ENFILE.
    static let mostFiles = 16_384
    /// Beyond these the oldest texts are taken away.
    static let mostBytes = 8 << 20

    private let state = Mutex(State())

    private struct State {
      var files: [UInt64: OpenFile] = [:]
      var lastHandle: UInt64 = 0
      /// Those that have a text, the oldest first.
      var texts: [UInt64] = []
      var bytes = 0
    }

    func add(_ file: OpenFile) throws(FileError) -> UInt64 {
      let handle = state.withLock { state -> UInt64? in
        guard state.files.count < Self.mostFiles else { return nil }
        state.lastHandle += 1
        state.files[state.lastHandle] = file
        return state.lastHandle
      }
      guard let handle else { throw .tooManyFiles }
      return handle
    }

    subscript(handle: UInt64) -> OpenFile? { state.withLock { $0.files[handle] } }

    func remove(_ handle: UInt64) {
      state.withLock { state in
        guard let file = state.files.removeValue(forKey: handle) else { return }
        let bytes = file.takeAway()
        guard bytes > 0 else { return }
        state.bytes -= bytes
        state.texts.removeAll { $0 == handle }
      }
    }

    /// A file has more bytes of text than before, or fewer.
    func note(_ difference: Int, of handle: UInt64) {
      guard difference != 0 else { return }
      state.withLock { state in
        state.bytes += difference
        state.texts.removeAll { $0 == handle }
        guard difference > 0 else { return }
        state.texts.append(handle)
        while state.bytes > Self.mostBytes, state.texts.count > 1 {
          let oldest = state.texts.removeFirst()
          state.bytes -= state.files[oldest]?.takeAway() ?? 0
        }
      }
    }

    func removeAll() { state.withLock { $0 = State() } }
  }
#endif
