// SPDX-License-Identifier: Apache-2.0
#if FUSE
  internal import CSlabFUSE
  internal import Glibc
  public import Slab
  internal import Synchronization

  /// A process's caches and groups as files, in the kernel's formats: `slabinfo`, the folder `slab` as
  /// `/sys/kernel/slab`, and the folder `cgroup` as a tree of cgroup v2 (docs/mount.md).
  ///
  ///     let mount = try SlabMount.start(at: "/run/server/slab")
  ///     …
  ///     mount.stop()
  ///
  /// It lives until `stop`, until somebody unmounts it, or as long as the process. What is shown is read when it is asked
  /// for, by the mount's own threads; they take the short locks of the allocator's public reads, and no allocation waits
  /// for more. The process's own threads may use the mount like any others, but not while they run a shrinker, and not
  /// as its only worker.
  public final class SlabMount: Sendable {
    /// How a mount is made.
    public struct Options: Sendable {
      /// The users that may look.
      public enum Readers: Sendable {
        /// The process's own user alone; not even root.
        case owner
        /// Every user. Others than the process's own never write. As another user than root, it needs
        /// `user_allow_other` in `/etc/fuse.conf`.
        case everyone
      }

      /// Who may look.
      public var readers = Readers.owner
      /// Whether groups can be made, limited and closed, and settings of caches be changed, by the process's own user. If
      /// not, the file system is read-only.
      public var isWritable = true
      /// Threads that answer, 1 to 64.
      public var workers = 1
      /// Whether the system unmounts it should the process be killed. A helper of libfuse, `fusermount3`, then waits beside
      /// the process.
      public var unmountsWithProcess = false

      /// The process's own user alone, who may write; one worker.
      public init() {}
    }

    private let server: MountServer
    private let state: Mutex<State>
    private let path: String
    /// The process that has the workers.
    private let process = getpid()

    private enum State {
      case mounted(MountedFiles)
      case stopped
    }

    /// Mounts an allocator, at a directory that is there. Blocks for a few system calls and starts the workers.
    ///
    /// What a process that was killed has left mounted there is unmounted first.
    ///
    /// - Throws: see `SlabMountError`.
    public static func start(
      at path: String, of allocator: SlabAllocator = .shared, options: Options = Options()
    ) throws(SlabMountError) -> SlabMount {
      guard 1...64 ~= options.workers else { throw .invalidWorkers(options.workers) }
      try MountPoint.prepare(path)
      let server = MountServer(allocator, options)
      return SlabMount(server, try MountedFiles(server, at: path, options), at: path)
    }

    private init(_ server: MountServer, _ files: MountedFiles, at path: String) {
      self.server = server
      self.path = path
      state = Mutex(.mounted(files))
    }

    /// Ends the mount. Returns when no worker is left; waits for no client: a file that one has open answers `ENOTCONN`
    /// from then on. Groups that were made by `mkdir` and that nothing else holds are closed. From any thread but a
    /// worker's; also from several at once, and again. In a child of `fork` it does nothing: the mount is its parent's.
    public func stop() {
      // Before the lock, which another thread may have had when the process forked.
      guard getpid() == process else { return }
      // Under the lock, so that whoever comes second returns when it is done as well.
      state.withLock { state in
        guard case .mounted(let files) = state else { return }
        state = .stopped
        server.end()
        files.unmount()
        server.letGoOfGroups()
      }
    }

    /// Whether it is mounted: neither stopped nor unmounted by somebody. A system call. In a child of `fork` false: the
    /// mount is its parent's.
    public var isMounted: Bool { hasEnded(within: 0) == false }

    /// Waits until it is unmounted by somebody, or stopped, for so many milliseconds at most. Whether it was; in a child
    /// of `fork` true at once.
    public func waitUntilUnmounted(milliseconds: Int) -> Bool { hasEnded(within: milliseconds) }

    private func hasEnded(within milliseconds: Int) -> Bool {
      // Before the lock, as in `stop`.
      guard getpid() == process else { return true }
      // A copy: another thread may stop it meanwhile.
      let watched = state.withLock { state -> CInt? in
        guard case .mounted(let files) = state else { return nil }
        return fcntl(files.ended, F_DUPFD_CLOEXEC, 0)
      }
      guard let watched else { return true }
      guard watched >= 0 else {
        // No descriptor is left for the copy, so nothing is known; a caller that asks again and again must not spin.
        let pause = milliseconds < 0 ? 100 : min(milliseconds, 100)
        _ = poll(nil, 0, CInt(pause))
        return false
      }
      defer { close(watched) }
      return Self.isReadable(watched, within: milliseconds)
    }

    private static func isReadable(_ file: CInt, within milliseconds: Int) -> Bool {
      let clock = ContinuousClock()
      let end = clock.now + .milliseconds(max(0, milliseconds))
      var left = milliseconds
      while true {
        var descriptor = pollfd(fd: file, events: Int16(POLLIN), revents: 0)
        // SAFETY: one structure of this frame.
        let count = unsafe poll(&descriptor, 1, CInt(clamping: left))
        guard count < 0, errno == EINTR else { return count > 0 }
        // Interrupted by a signal. A negative time is without end.
        if milliseconds >= 0 { left = max(0, Int((end - clock.now) / .milliseconds(1))) }
      }
    }
  }
#endif
