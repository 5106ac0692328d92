// SPDX-License-Identifier: Apache-2.0
// A life that somebody may look at: slow enough to be seen, until a signal comes or the mount is gone.

#if FUSE
  import Glibc
  import Slab
  import SlabMount

  extension MountCommand {
    func live() throws {
      guard let load = try Self.load(load) else { return }
      // Before any other thread is there: they all leave these signals to this one.
      let life = MountedLife()
      var options = SlabMount.Options()
      options.readers = everyone ? .everyone : .owner
      options.isWritable = !readOnly
      options.workers = workers
      let allocator =
        switch load {
        case .churn: try SlabAllocator(by: .current)
        case .replay(let replay):
          try SlabAllocator(by: .current, endings: replay.endings ?? .reparent)
        }
      let mount = try SlabMount.start(at: directory, of: allocator, options: options)
      defer { mount.stop() }
      life.mount = mount
      StandardStream.writeMessage(
        "slab: \(directory) shows slabinfo, slab and cgroup; Ctrl-C ends it\n")
      switch load {
      case .churn(let load): try life.live(load, in: allocator)
      case .replay(let replay): try life.live(replay, seconds: seconds, in: allocator)
      }
    }
  }

  final class MountedLife {
    private let signals = StopSignals()
    var mount: SlabMount?
    private(set) var isOver = false

    /// Waits, and looks whether it is over.
    func rest(milliseconds: Int) {
      if isOver { return }
      // A child of libfuse's ends as well.
      if let arrival = signals.wait(milliseconds: milliseconds), arrival.number != SIGCHLD {
        isOver = true
      }
      if mount?.isMounted == false { isOver = true }
    }

    // MARK: - A churn

    /// So many groups live; a hundred times a second the oldest ends and another one is made.
    func live(_ load: ChurnLoad, in allocator: SlabAllocator) throws(ToolError) {
      do throws(SlabError) {
        var churn = try SlowChurn(load, in: allocator)
        while !isOver {
          try churn.step()
          rest(milliseconds: churn.isFull ? 10 : 0)
        }
        churn.end()
      } catch { throw .allocator("live a churn", error) }
    }

    // MARK: - A recording

    /// Lives a recording in so many seconds, and then again.
    func live(
      _ replay: ReplayCommand, seconds: Double, in allocator: SlabAllocator
    ) throws {
      let path = try replay.recording ?? PackagedRecording.path()
      let name = replay.recording ?? PackagedRecording.name
      repeat {
        let source = try RecordingSource(path, name: name)
        let total = source.fileBytes
        var interpreter = RecordingInterpreter(
          SlabReplayTarget(allocator, copies: replay.copies), recording: name,
          hierarchy: replay.hierarchy)
        let start = MonotonicTime.nanoseconds()
        try interpreter.interpret(source) { position in
          guard let total, total > 0 else { return }
          let due = seconds * Double(position) / Double(total)
          while !self.isOver, MonotonicTime.seconds(since: start) < due {
            self.rest(milliseconds: 50)
          }
        }
        rest(milliseconds: 1000)
        try interpreter.target.endGroupsAndObjects()
        allocator.waitUntilIdle()
        try interpreter.target.destroyCaches()
        allocator.waitUntilIdle()
      } while !isOver && replay.recording != "-"
      // A pipe is read once: what it left stays to be looked at.
      while !isOver { rest(milliseconds: 1000) }
    }
  }

  /// Groups that come and go, each with objects in some caches.
  @safe private struct SlowChurn {
    private let load: ChurnLoad
    private let root: MemoryGroup
    private var caches: [RawSlabCache] = []
    private var groups: [(group: MemoryGroup, objects: [UnsafeMutableRawPointer])] = unsafe []
    private var made = 0

    init(_ load: ChurnLoad, in allocator: SlabAllocator) throws(SlabError) {
      self.load = load
      root = allocator.rootGroup
      for index in 0..<load.caches {
        let (name, bytes) = ChurnLoad.cache(index)
        caches.append(try RawSlabCache(named: name, objectSize: bytes, of: allocator))
      }
    }

    var isFull: Bool { unsafe groups.count >= load.groups }

    mutating func step() throws(SlabError) {
      if isFull { unsafe end(groups.removeFirst()) }
      made += 1
      // Somebody may have made one of that name, by way of the mount.
      guard root.child(named: "job-\(made)") == nil else { return }
      let group = try root.makeChild(named: "job-\(made)")
      var objects: [UnsafeMutableRawPointer] = unsafe []
      do throws(SlabError) {
        for cache in caches {
          for _ in 0..<load.objects { unsafe objects.append(try cache.allocate(in: group)) }
        }
      } catch {
        // Somebody has closed it or limited it, by way of the mount.
        switch error {
        case .limitReached, .groupOffline: break
        default: throw error
        }
      }
      unsafe groups.append((group, objects))
    }

    private func end(_ ended: (group: MemoryGroup, objects: [UnsafeMutableRawPointer])) {
      // SAFETY: each object is live, of the cache that it came from, and freed here only.
      for index in unsafe ended.objects.indices {
        unsafe caches[index / load.objects].free(ended.objects[index])
      }
      try? unsafe ended.group.close()
    }

    mutating func end() {
      for index in unsafe groups.indices { unsafe end(groups[index]) }
      unsafe groups = []
    }
  }
#endif
