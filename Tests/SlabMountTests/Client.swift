// SPDX-License-Identifier: Apache-2.0
// A client of a mount: plain system calls, and the error numbers that they give.

#if FUSE
  import Glibc
  import Testing

  @testable import Slab
  @testable import SlabMount

  /// The error number of a system call.
  struct Refusal: Error, Equatable {
    let errno: CInt
  }

  // SAFETY, of all that follow: texts, buffers and structures are there for the length of the call.
  enum Client {
    /// A descriptor of an open file.
    static func open(_ path: String, _ flags: CInt = O_RDONLY) throws(Refusal) -> CInt {
      let file = unsafe Glibc.open(path, flags | O_CLOEXEC, 0o600)
      guard file >= 0 else { throw Refusal(errno: errno) }
      return file
    }

    /// One read(2) or, with an offset, pread(2).
    static func read(
      _ file: CInt, atMost count: Int = 1 << 17, at offset: Int? = nil
    ) throws(Refusal) -> String {
      var bytes = [UInt8](repeating: 0, count: count)
      let found =
        if let offset { unsafe pread(file, &bytes, count, offset) } else {
          unsafe Glibc.read(file, &bytes, count)
        }
      guard found >= 0 else { throw Refusal(errno: errno) }
      return String(decoding: bytes[..<found], as: UTF8.self)
    }

    /// All of a file, in pieces of a size.
    static func text(of path: String, pieces: Int = 1 << 17) throws(Refusal) -> String {
      let file = try open(path)
      defer { close(file) }
      var text = ""
      while true {
        let piece = try read(file, atMost: pieces)
        if piece.isEmpty { return text }
        text += piece
      }
    }

    /// As a shell's redirection.
    static func write(_ text: String, to path: String) throws(Refusal) {
      let file = try open(path, O_WRONLY | O_TRUNC)
      defer { close(file) }
      try write(text, to: file)
    }

    static func write(_ text: String, to file: CInt) throws(Refusal) {
      let bytes = Array(text.utf8)
      guard unsafe Glibc.write(file, bytes, bytes.count) == bytes.count else {
        throw Refusal(errno: errno)
      }
    }

    static func makeDirectory(_ path: String) throws(Refusal) {
      try call(unsafe mkdir(path, 0o755))
    }
    static func makeDirectory(bytes: [CChar]) throws(Refusal) {
      try call(unsafe mkdir(bytes, 0o755))
    }
    static func removeDirectory(_ path: String) throws(Refusal) { try call(unsafe rmdir(path)) }
    static func removeFile(_ path: String) throws(Refusal) { try call(unsafe unlink(path)) }
    static func rename(_ path: String, to other: String) throws(Refusal) {
      try call(unsafe Glibc.rename(path, other))
    }
    static func link(_ target: String, at path: String) throws(Refusal) {
      try call(unsafe symlink(target, path))
    }
    static func changeMode(_ path: String) throws(Refusal) { try call(unsafe chmod(path, 0o777)) }
    static func unmount(_ path: String) throws(Refusal) { try call(unsafe umount2(path, 0)) }

    private static func call(_ result: CInt) throws(Refusal) {
      guard result == 0 else { throw Refusal(errno: errno) }
    }

    static func target(of link: String) throws(Refusal) -> String {
      var bytes = [UInt8](repeating: 0, count: 4096)
      let count = unsafe bytes.withUnsafeMutableBytes {
        unsafe readlink(link, $0.baseAddress!.assumingMemoryBound(to: CChar.self), 4096)
      }
      guard count >= 0 else { throw Refusal(errno: errno) }
      return String(decoding: bytes[..<count], as: UTF8.self)
    }

    /// The events of poll(2) for POLLPRI within a time.
    static func events(of file: CInt, milliseconds: CInt) -> Int16 {
      var watched = pollfd(fd: file, events: Int16(POLLPRI), revents: 0)
      return unsafe poll(&watched, 1, milliseconds) > 0 ? watched.revents : 0
    }

    /// The names in a directory but for the two dots, in the order in which they come.
    static func names(in path: String) throws(Refusal) -> [String] {
      let directory = try OpenDirectory(path)
      var names: [String] = []
      while let name = directory.next() { names.append(name) }
      return names
    }

    static func status(_ path: String) throws(Refusal) -> stat {
      var status = stat()
      try call(unsafe lstat(path, &status))
      return status
    }

    static func permissions(_ path: String) throws(Refusal) -> mode_t {
      try status(path).st_mode & 0o777
    }

    static func status(bytes: [CChar]) throws(Refusal) {
      var status = stat()
      try call(unsafe lstat(bytes, &status))
    }
  }

  /// A directory that is read in pieces, as the C library has it.
  @safe final class OpenDirectory {
    private let directory: OpaquePointer

    init(_ path: String) throws(Refusal) {
      guard let directory = unsafe opendir(path) else { throw Refusal(errno: errno) }
      unsafe self.directory = directory
    }

    deinit { unsafe closedir(directory) }

    func next() -> String? {
      while let entry = unsafe readdir(directory) {
        let name = unsafe String(
          cString: UnsafeRawPointer(entry).advanced(by: MemoryLayout<dirent>.offset(of: \.d_name)!)
            .assumingMemoryBound(to: CChar.self))
        if name != ".", name != ".." { return name }
      }
      return nil
    }

    var place: Int {
      get { unsafe telldir(directory) }
      set { unsafe seekdir(directory, newValue) }
    }

    func rewind() { unsafe rewinddir(directory) }
  }

  /// Expects an error number.
  func expectRefusal(
    _ errno: CInt, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
  ) {
    do {
      try body()
      Issue.record("nothing was refused", sourceLocation: sourceLocation)
    } catch {
      #expect(error as? Refusal == Refusal(errno: errno), sourceLocation: sourceLocation)
    }
  }

  func temporaryDirectory() -> String {
    var template = Array("/tmp/slab-mount-XXXXXX".utf8CString)
    // SAFETY: the template is changed in place, and copied.
    return unsafe String(cString: mkdtemp(&template))
  }

  /// An allocator of its own, mounted while the body runs.
  func withMount(
    _ options: SlabMount.Options = .init(), configuration: SlabAllocator.Configuration = .init(),
    _ body: (_ allocator: SlabAllocator, _ path: String, _ mount: SlabMount) throws -> Void
  ) throws {
    // What is compared with a text of the mount is read a moment later.
    var configuration = configuration
    configuration.idleRoundMilliseconds = 0
    let allocator = try SlabAllocator(configuration: configuration)
    let path = temporaryDirectory()
    let mount = try SlabMount.start(at: path, of: allocator, options: options)
    defer {
      mount.stop()
      #expect(throws: Never.self) { try Client.removeDirectory(path) }
      allocator.waitUntilIdle()
      unsafe allocator.unmapEverything()
    }
    try body(allocator, path, mount)
  }

  /// One at a time: a mount is the process's.
  @Suite(.serialized) enum MountTests {}
#endif
