// SPDX-License-Identifier: Apache-2.0
// How a mount begins and ends, and what is refused.

#if FUSE
  import Foundation
  import Glibc
  import Testing

  @testable import Slab
  @testable import SlabMount

  extension MountTests {
    @Suite struct Life {
      @Test func theTopIsWhatItSays() throws {
        try withMount { allocator, path, mount in
          #expect(mount.isMounted)
          #expect(try Client.names(in: path) == ["cgroup", "slab", "slabinfo"])
          let cache = try RawSlabCache(named: "kilobyte", objectSize: 1024, of: allocator)
          #expect(try Client.text(of: path + "/slabinfo") == allocator.slabinfo())
          let status = try Client.status(path + "/slabinfo")
          #expect(status.st_size == 0 && status.st_blksize >= 8192)
          #expect(status.st_mode == S_IFREG | 0o400 && status.st_uid == geteuid())
          #expect(try Client.status(path + "/cgroup").st_mode == S_IFDIR | 0o700)
          withExtendedLifetime(cache) {}
        }
      }

      @Test func aHeldFileDoesNotHoldUpTheEnd() throws {
        try withMount { _, path, mount in
          let file = try Client.open(path + "/slabinfo")
          defer { close(file) }
          #expect(try !Client.read(file, atMost: 10).isEmpty)
          let threads = (0..<4).map { _ in Thread { mount.stop() } }
          for thread in threads { thread.start() }
          mount.stop()
          #expect(mount.waitUntilUnmounted(milliseconds: 0) && !mount.isMounted)
          expectRefusal(ENOTCONN) { _ = try Client.read(file) }
          #expect(try Client.names(in: path) == [])
          while threads.contains(where: { !$0.isFinished }) { sched_yield() }
        }
      }

      /// The mount, and the threads that answer, are the parent's.
      @Test func aChildOfForkDoesNotEndIt() throws {
        typealias Fork = @convention(c) () -> pid_t
        // SAFETY: the function of that name, which the overlay keeps from Swift.
        let fork = unsafe unsafeBitCast(dlsym(nil, "fork")!, to: Fork.self)
        try withMount { (_, path, mount) throws in
          let child = fork()
          if child == 0 {
            // Ends a child that waits for threads which it does not have.
            var all = sigset_t()
            unsafe sigfillset(&all)
            _ = unsafe pthread_sigmask(SIG_UNBLOCK, &all, nil)
            alarm(20)
            mount.stop()
            _exit(!mount.isMounted && mount.waitUntilUnmounted(milliseconds: 0) ? 0 : 1)
          }
          var status: CInt = -1
          while unsafe waitpid(child, &status, 0) < 0, errno == EINTR {}
          #expect(status == 0)
          #expect(mount.isMounted)
          #expect(try Client.text(of: path + "/slabinfo").hasPrefix("slabinfo - version"))
        }
      }

      @Test func itCanBeUnmountedBySomebody() throws {
        try withMount { _, path, mount in
          #expect(!mount.waitUntilUnmounted(milliseconds: 0))
          try Client.unmount(path)
          #expect(mount.waitUntilUnmounted(milliseconds: 10_000))
          #expect(!mount.isMounted)
        }
      }

      @Test func whatCannotBeMountedAt() throws {
        func error(_ path: String, _ options: SlabMount.Options = .init()) -> SlabMountError? {
          do throws(SlabMountError) {
            try SlabMount.start(at: path, options: options).stop()
            return nil
          } catch { return error }
        }
        #expect(error("/no-such/place") == .unreachable(path: "/no-such/place", errno: ENOENT))
        #expect(error("/etc/hostname") == .notADirectory(path: "/etc/hostname"))
        #expect(error("/proc") == .busy(path: "/proc"))
        var options = SlabMount.Options()
        options.workers = 0
        #expect(error("/tmp", options) == .invalidWorkers(0))
        try withMount { _, path, _ in #expect(error(path) == .busy(path: path)) }
        let reasons: [SlabMountError] = [
          .noDevice, .deviceRefused(errno: EACCES), .stale(path: "/x"),
          .refused(path: "/x", reason: "y"),
        ]
        #expect(reasons.allSatisfy { !$0.description.isEmpty })
      }

      @Test func withoutWritesAllIsReadOnly() throws {
        var options = SlabMount.Options()
        options.isWritable = false
        try withMount(options) { allocator, path, _ in
          let group = try allocator.rootGroup.makeChild(named: "group")
          expectRefusal(EROFS) { try Client.makeDirectory(path + "/cgroup/other") }
          expectRefusal(EROFS) { try Client.removeDirectory(path + "/cgroup/group") }
          expectRefusal(EROFS) { try Client.write("1M", to: path + "/cgroup/group/memory.max") }
          #expect(try Client.permissions(path + "/cgroup/group/memory.max") == 0o400)
          #expect(group.max == nil)
        }
      }

      @Test func everyoneMayLookIfAskedFor() throws {
        var options = SlabMount.Options()
        options.readers = .everyone
        try withMount(options) { (_, path, _) throws in
          #expect(try Client.permissions(path + "/slabinfo") == 0o444)
          #expect(try Client.permissions(path + "/cgroup") == 0o755)
        }
      }

      @Test func severalWorkersAnswer() throws {
        var options = SlabMount.Options()
        options.workers = 4
        try withMount(options) { allocator, path, _ in
          let whole = try allocator.slabinfo().split(separator: "\n").count
          DispatchQueue.concurrentPerform(iterations: 8) { _ in
            for _ in 0..<50 {
              let lines = try? Client.text(of: path + "/slabinfo", pieces: 100)
                .split(separator: "\n").count
              #expect(lines == whole)
            }
          }
        }
      }

      /// A thousand files that are open and not read hold nothing but themselves, and what is read in part is bounded.
      @Test func filesThatNobodyReads() throws {
        let files = OpenFiles()
        for _ in 0..<OpenFiles.mostFiles {
          _ = try files.add(OpenFile(.slabinfo, writes: false))
        }
        #expect(throws: FileError.tooManyFiles) {
          try files.add(OpenFile(.slabinfo, writes: false))
        }
        files.removeAll()
        let text = String(repeating: "x", count: 1 << 20)
        var handles: [UInt64] = []
        for _ in 0..<20 {
          let file = OpenFile(.slabinfo, writes: false)
          handles.append(try files.add(file))
          files.note(
            try file.read(from: 0, atMost: 1) { () throws(FileError) in
              text
            } _: { _ in
            },
            of: handles.last!)
        }
        // Eight texts are left; the first client is told that its own is gone, and may begin again.
        let first = try #require(files[handles[0]])
        let last = try #require(files[handles[19]])
        func read(_ file: OpenFile, from offset: Int) throws(FileError) -> Int {
          var count = 0
          _ = try file.read(from: offset, atMost: 10) { () throws(FileError) in
            text
          } _: {
            count = $0.count
          }
          return count
        }
        #expect(throws: FileError.noMemory) { try read(first, from: 1) }
        #expect(try read(first, from: 0) == 10)
        #expect(try read(first, from: 1) == 10)
        #expect(try read(last, from: 1) == 10)
        #expect(try read(last, from: 1 << 20) == 0)
      }
    }
  }
#endif
