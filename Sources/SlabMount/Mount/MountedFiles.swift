// SPDX-License-Identifier: Apache-2.0
// The mount as C has it, and the calls that lead from there to the server. All that is unsafe about the mount is here.

#if FUSE
  internal import CSlabFUSE
  internal import Glibc

  @safe
  struct MountedFiles: @unchecked Sendable {
    // SAFETY: `unmount` is called once, by the thread that took this out of its lock; `ended` before that.
    private let mount: OpaquePointer
    /// What the workers are given; theirs until they have ended.
    private let calls: UnsafeMutablePointer<slab_fuse_calls>

    init(
      _ server: MountServer, at path: String, _ options: SlabMount.Options
    ) throws(SlabMountError) {
      let calls = UnsafeMutablePointer<slab_fuse_calls>.allocate(capacity: 1)
      unsafe calls.initialize(to: Self.calls(of: server))
      var reason = ""
      // SAFETY: libfuse writes a text with an end within so many bytes; the calls stay until `unmount`.
      let mounted = unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 1000) { text in
        unsafe text.initialize(repeating: 0)
        let mounted = unsafe slab_fuse_mount(
          calls, path, Self.text(of: options), CInt(options.workers), text.baseAddress, 1000)
        reason = unsafe String(cString: text.baseAddress!)
        return unsafe mounted
      }
      guard let mounted = unsafe mounted else {
        unsafe Self.release(calls)
        throw .refused(path: path, reason: reason.isEmpty ? "libfuse gives no reason" : reason)
      }
      unsafe mount = mounted
      unsafe self.calls = calls
    }

    /// Readable from the end on.
    var ended: CInt { unsafe slab_fuse_ended(mount) }

    func unmount() {
      unsafe slab_fuse_unmount(mount)
      unsafe Self.release(calls)
    }

    private static func text(of options: SlabMount.Options) -> String {
      var words = [
        "fsname=slab", "subtype=slab", "default_permissions", "nosuid", "nodev", "noexec",
      ]
      if options.readers == .everyone { words.append("allow_other") }
      if !options.isWritable { words.append("ro") }
      if options.unmountsWithProcess { words.append("auto_unmount") }
      return words.joined(separator: ",")
    }

    private static func release(_ calls: UnsafeMutablePointer<slab_fuse_calls>) {
      // SAFETY: no worker is left; the context is the server that `calls(of:)` has retained.
      unsafe Unmanaged<MountServer>.fromOpaque(calls.pointee.context).release()
      unsafe calls.deallocate()
    }

    // MARK: - From C

    private static func calls(of server: MountServer) -> slab_fuse_calls {
      var calls = unsafe slab_fuse_calls()
      unsafe calls.context = Unmanaged.passRetained(server).toOpaque()
      unsafe calls.look_up = { unsafe lookUp($0, $1, $2, $3) }
      unsafe calls.describe = { unsafe describe($0, $1, $2) }
      unsafe calls.read_link = { unsafe readLink($0, $1, $2, $3) }
      unsafe calls.make = { unsafe makeDirectory($0, $1, $2, $3) }
      unsafe calls.remove = { unsafe removeDirectory($0, $1, $2) }
      unsafe calls.open = { unsafe openFile($0, $1, $2, $3) }
      unsafe calls.close = { unsafe closeFile($0, $1) }
      unsafe calls.read = { unsafe readFile($0, $1, $2, $3, $4) }
      unsafe calls.write = { unsafe writeFile($0, $1, $2, $3) }
      unsafe calls.list = { unsafe listDirectory($0, $1, $2, $3) }
      unsafe calls.poll = { unsafe pollFile($0, $1, $2) }
      return unsafe calls
    }
  }

  // SAFETY, of all that follow: the context is a server that lives until the workers have ended; the other pointers are
  // C's for the length of the call.

  private func server(_ context: UnsafeMutableRawPointer?) -> MountServer {
    unsafe Unmanaged<MountServer>.fromOpaque(context!).takeUnretainedValue()
  }

  private func answer(
    _ result: () throws(FileError) -> Void
  ) -> CInt {
    do throws(FileError) {
      try result()
      return 0
    } catch { return error.errno }
  }

  private func lookUp(
    _ context: UnsafeMutableRawPointer?, _ directory: UInt64, _ name: UnsafePointer<CChar>?,
    _ found: UnsafeMutablePointer<slab_fuse_attributes>?
  ) -> CInt {
    answer { () throws(FileError) in
      guard let text = unsafe String(validatingCString: name!) else { throw .noEntry }
      let entry = try unsafe server(context).lookUp(text, in: Node(number: directory))
      unsafe found!.pointee = slab_fuse_attributes(entry)
    }
  }

  private func describe(
    _ context: UnsafeMutableRawPointer?, _ node: UInt64,
    _ found: UnsafeMutablePointer<slab_fuse_attributes>?
  ) -> CInt {
    answer { () throws(FileError) in
      let entry = try unsafe server(context).describe(Node(number: node))
      unsafe found!.pointee = slab_fuse_attributes(entry)
    }
  }

  private func readLink(
    _ context: UnsafeMutableRawPointer?, _ node: UInt64, _ target: UnsafeMutablePointer<CChar>?,
    _ bytes: Int
  ) -> CInt {
    answer { () throws(FileError) in
      let text = try unsafe server(context).target(of: Node(number: node))
      guard text.utf8.count < bytes else { throw .nameTooLong }
      unsafe strcpy(target!, text)
    }
  }

  private func makeDirectory(
    _ context: UnsafeMutableRawPointer?, _ directory: UInt64, _ name: UnsafePointer<CChar>?,
    _ made: UnsafeMutablePointer<slab_fuse_attributes>?
  ) -> CInt {
    answer { () throws(FileError) in
      guard let text = unsafe String(validatingCString: name!) else { throw .invalid }
      let entry = try unsafe server(context).makeGroup(text, in: Node(number: directory))
      unsafe made!.pointee = slab_fuse_attributes(entry)
    }
  }

  private func removeDirectory(
    _ context: UnsafeMutableRawPointer?, _ directory: UInt64, _ name: UnsafePointer<CChar>?
  ) -> CInt {
    answer { () throws(FileError) in
      guard let text = unsafe String(validatingCString: name!) else { throw .noEntry }
      try unsafe server(context).removeGroup(text, in: Node(number: directory))
    }
  }

  private func openFile(
    _ context: UnsafeMutableRawPointer?, _ node: UInt64, _ writes: Bool,
    _ handle: UnsafeMutablePointer<UInt64>?
  ) -> CInt {
    answer { () throws(FileError) in
      unsafe handle!.pointee = try server(context).open(Node(number: node), writes: writes)
    }
  }

  private func closeFile(_ context: UnsafeMutableRawPointer?, _ handle: UInt64) {
    unsafe server(context).close(handle)
  }

  private func readFile(
    _ context: UnsafeMutableRawPointer?, _ handle: UInt64, _ offset: UInt64, _ bytes: Int,
    _ request: OpaquePointer?
  ) -> CInt {
    answer { () throws(FileError) in
      try unsafe server(context).read(handle, from: Int(clamping: offset), atMost: bytes) { piece in
        unsafe piece.withUnsafeBufferPointer {
          unsafe slab_fuse_answer(request, $0.baseAddress, $0.count)
        }
      }
    }
  }

  private func writeFile(
    _ context: UnsafeMutableRawPointer?, _ handle: UInt64, _ bytes: UnsafePointer<UInt8>?,
    _ count: Int
  ) -> CInt {
    answer { () throws(FileError) in
      guard count <= 4096 else { throw .invalid }
      let text = unsafe Array(UnsafeBufferPointer(start: bytes, count: count))
      try unsafe server(context).write(text, to: handle)
    }
  }

  private func listDirectory(
    _ context: UnsafeMutableRawPointer?, _ directory: UInt64, _ place: UInt64,
    _ listing: OpaquePointer?
  ) -> CInt {
    answer { () throws(FileError) in
      try unsafe server(context).list(Node(number: directory), behind: place) {
        name, entry, place in
        var attributes = slab_fuse_attributes(entry)
        return unsafe name.withCName { unsafe slab_fuse_add(listing, $0, &attributes, place) }
      }
    }
  }

  private func pollFile(
    _ context: UnsafeMutableRawPointer?, _ handle: UInt64, _ waiter: OpaquePointer?
  ) -> UInt32 {
    unsafe server(context).poll(handle, waiter.map { unsafe Waiter($0) })
  }

  extension slab_fuse_attributes {
    fileprivate init(_ entry: DirectoryEntry) {
      self.init(
        node: entry.node.number, mode: entry.mode, links: UInt32(clamping: entry.links),
        bytes: entry.bytes)
    }
  }

  /// A client that waits. It is woken or dropped, once.
  @safe
  struct Waiter: @unchecked Sendable {
    // SAFETY: libfuse's notification may be sent by any thread.
    private let waiter: OpaquePointer

    fileprivate init(_ waiter: OpaquePointer) { unsafe self.waiter = waiter }

    /// Not when the workers have ended.
    func wake() { unsafe slab_fuse_wake(waiter) }
    func drop() { unsafe slab_fuse_drop(waiter) }
  }

  extension FileName {
    fileprivate func withCName<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result {
      switch self {
      case .fixed(let text): return unsafe text.withCString { unsafe body($0) }
      case .bytes(let bytes):
        return unsafe bytes.withUnsafeBufferPointer { buffer in
          // SAFETY: the bytes have a zero behind them.
          unsafe buffer.withMemoryRebound(to: CChar.self) { unsafe body($0.baseAddress!) }
        }
      }
    }
  }
#endif
