// SPDX-License-Identifier: Apache-2.0
// `/cgroup`: groups made, limited, watched and closed by plain system calls.

#if FUSE
  import Foundation
  import Glibc
  import SlabCore
  import Testing

  @testable import Slab
  @testable import SlabMount

  extension MountTests {
    @Suite struct Groups {
      @Test func aGroupIsMadeLimitedAndClosed() throws {
        try withMount { allocator, path, _ in
          let folder = path + "/cgroup/tenant"
          try Client.makeDirectory(folder)
          let group = try #require(allocator.rootGroup.child(named: "tenant"))
          #expect(try Client.text(of: folder + "/memory.max") == "max\n")
          try Client.write("1M\n", to: folder + "/memory.max")
          #expect(group.max == 1 << 20)
          #expect(try Client.text(of: folder + "/memory.max") == "1048576\n")
          try Client.write("5000", to: folder + "/memory.high")
          #expect(group.high == 4096)
          try Client.write("max", to: folder + "/memory.high")
          #expect(group.high == nil)
          try Client.write(" 8k ", to: folder + "/memory.low")
          #expect(group.low == 8192)

          let cache = try RawSlabCache(named: "kilobyte", objectSize: 1024, of: allocator)
          let objects = try unsafe (0..<8).map { _ in try unsafe cache.allocate(in: group) }
          #expect(try Client.text(of: folder + "/memory.current") == "\(group.usage)\n")
          #expect(
            try Client.text(of: folder + "/memory.slabinfo") == allocator.slabinfo(of: group))
          #expect(
            try Client.text(of: folder + "/memory.stat").contains("slab \(group.usage)\n"))
          #expect(
            try Client.text(of: folder + "/cgroup.events") == "populated 1\nfrozen 0\n")
          #expect(try Client.status(folder).st_nlink == 2)
          #expect(try Client.status(path + "/cgroup").st_nlink == 3)

          try Client.makeDirectory(folder + "/inner")
          expectRefusal(EBUSY) { try Client.removeDirectory(folder) }
          try Client.removeDirectory(folder + "/inner")
          let held = try Client.open(folder + "/memory.current")
          defer { close(held) }
          try Client.removeDirectory(folder)
          #expect(!group.isOnline)
          expectRefusal(ENODEV) { _ = try Client.read(held) }
          expectRefusal(ENOENT) { _ = try Client.open(folder + "/memory.current") }
          for index in unsafe objects.indices { unsafe cache.free(objects[index]) }
        }
      }

      @Test func filesAreThoseOfTheKernel() throws {
        try withMount { allocator, path, _ in
          let group = try allocator.rootGroup.makeChild(named: "group")
          let root = try Client.names(in: path + "/cgroup")
          #expect(root.contains("memory.stat") && !root.contains("memory.max"))
          expectRefusal(ENOENT) { _ = try Client.open(path + "/cgroup/memory.max") }
          let names = try Client.names(in: path + "/cgroup/group")
          #expect(names == GroupFile.allCases.map(\.name))
          for file in GroupFile.allCases {
            let name = path + "/cgroup/group/" + file.name
            if file.isReadable {
              let text = try Client.text(of: name)
              #expect(text.isEmpty || text.hasSuffix("\n"), "\(name)")
              // A key and a number, or a number.
              if file.name.hasPrefix("memory."), file != .slabinfo, file != .legacySlabinfo {
                for line in text.split(separator: "\n") {
                  let value = line.split(whereSeparator: { $0 == " " || $0 == "=" }).last!
                  #expect(value == "max" || Int(value) != nil, "\(name): \(line)")
                }
              }
            }
            if !file.isWritable {
              let mode = try Client.status(name).st_mode
              #expect(mode & 0o200 == 0)
              // root passes the kernel's check.
              expectRefusal(EACCES) { _ = try Client.open(name, O_WRONLY) }
            }
          }
          withExtendedLifetime(group) {}
        }
      }

      @Test func whatIsNoLimitIsRefused() throws {
        try withMount { allocator, path, _ in
          let group = try allocator.rootGroup.makeChild(named: "group")
          let file = path + "/cgroup/group/memory.max"
          for text in [
            "x", "-1", "1Q", "1 2", "1KK", "maximum", "", "\n", "0x", "1.5", "\u{0}", "ma", "K",
            String(repeating: "1", count: 5000),
          ] where !text.isEmpty {
            expectRefusal(EINVAL) { try Client.write(text, to: file) }
          }
          #expect(group.max == nil)
          try Client.write("99999999999999999999E", to: file)
          #expect(group.max == nil)
          try Client.write("0", to: file)
          #expect(group.max == 0)
          for text in [
            "", "swappiness=1", "1M swap", "1M swappiness=x", "1M swappiness=201", "1 2 3",
          ]
          where !text.isEmpty {
            expectRefusal(EINVAL) {
              try Client.write(text, to: path + "/cgroup/group/memory.reclaim")
            }
          }
        }
      }

      @Test func strangeNames() throws {
        try withMount { allocator, path, _ in
          let folder = path + "/cgroup/"
          for name in ["a b", "a\nb", "\u{7f}", "\u{1}", "a\u{a0}b"] {
            expectRefusal(EINVAL) { try Client.makeDirectory(folder + name) }
          }
          var bytes = Array((folder + "x").utf8CString)
          bytes[bytes.count - 2] = CChar(bitPattern: 0xff)
          expectRefusal(EINVAL) { try Client.makeDirectory(bytes: bytes) }
          expectRefusal(ENOENT) { try Client.status(bytes: bytes) }
          expectRefusal(ENAMETOOLONG) {
            try Client.makeDirectory(folder + String(repeating: "n", count: 256))
          }
          let names = [
            "ü", "名前", "a:b(c)", "-", "...", "a%sb", String(repeating: "n", count: 255), "memory",
          ]
          for name in names {
            try Client.makeDirectory(folder + name)
            #expect(allocator.rootGroup.child(named: name) != nil)
          }
          expectRefusal(EEXIST) { try Client.makeDirectory(folder + "-") }
          // A file has this name, and in the root group none does.
          expectRefusal(EEXIST) { try Client.makeDirectory(folder + "ü/memory.max") }
          #expect(Set(names).isSubset(of: try Client.names(in: folder)))
          expectRefusal(EACCES) { _ = try Client.open(folder + "file", O_CREAT | O_WRONLY) }
          expectRefusal(EACCES) { try Client.makeDirectory(path + "/other") }
          expectRefusal(EPERM) { try Client.removeFile(folder + "-/memory.max") }
          expectRefusal(EPERM) { try Client.rename(folder + "-", to: folder + "+") }
          expectRefusal(EPERM) { try Client.link("a", at: folder + "link") }
          expectRefusal(EPERM) { try Client.changeMode(folder + "-/memory.max") }
          for name in names { try Client.removeDirectory(folder + name) }
        }
      }

      @Test func theTreeIsSixtyFourDeep() throws {
        try withMount { _, path, _ in
          var folder = path + "/cgroup"
          for _ in 0..<64 {
            folder += "/d"
            try Client.makeDirectory(folder)
          }
          expectRefusal(EAGAIN) { try Client.makeDirectory(folder + "/d") }
        }
      }

      /// A reset is that open file's alone, and nobody loses what was highest before another one's.
      @Test func eachOpenFileHasAPeakOfItsOwn() throws {
        try withMount { allocator, path, _ in
          let group = try allocator.rootGroup.makeChild(named: "group")
          let name = path + "/cgroup/group/memory.peak"
          let (first, second) = (try Client.open(name, O_RDWR), try Client.open(name, O_RDWR))
          let third = try Client.open(name)
          defer { for file in [first, second, third] { close(file) } }
          func peaks() throws -> [Int] {
            try [first, second, third].map {
              Int(try Client.read($0, at: 0).dropLast())!
            }
          }
          func swing(_ bytes: Int) throws {
            let charge = try group.charge(bytes: bytes)
            _ = consume charge
          }
          try swing(40 << 10)
          #expect(try peaks() == [40 << 10, 40 << 10, 40 << 10])
          try Client.write("reset\n", to: first)
          #expect(try peaks() == [0, 40 << 10, 40 << 10])
          try swing(20 << 10)
          #expect(try peaks() == [20 << 10, 40 << 10, 40 << 10])
          try Client.write("1", to: second)
          #expect(try peaks() == [20 << 10, 0, 40 << 10])
          try swing(8 << 10)
          #expect(try peaks() == [20 << 10, 8 << 10, 40 << 10])
          try Client.write("1", to: first)
          #expect(try peaks() == [0, 8 << 10, 40 << 10])
          #expect(group.peak == 40 << 10)
        }
      }

      /// A file that is open at the end of its mount is closed by nobody.
      @Test func peaksEndWithTheirMount() throws {
        let before = Peaks.groupCount
        try withMount { allocator, path, mount in
          let group = try allocator.rootGroup.makeChild(named: "group")
          let file = try Client.open(path + "/cgroup/group/memory.peak", O_RDWR)
          defer { close(file) }
          try Client.write("1", to: file)
          #expect(Peaks.groupCount == before + 1)
          mount.stop()
          #expect(Peaks.groupCount == before)
          withExtendedLifetime(group) {}
        }
      }

      /// A group without a name is not shown, and the others are.
      @Test func aGroupWithoutANameHidesNoOther() throws {
        try withMount { allocator, path, _ in
          let first = try allocator.rootGroup.makeChild(named: "first")
          let unnamed = try ["", "a/b", ".", ".."].map { name in
            let bytes = Array(name.utf8)
            return try allocator.core.makeGroup(named: bytes.span, below: nil)
          }
          let last = try allocator.rootGroup.makeChild(named: "last")
          let names = try Client.names(in: path + "/cgroup").filter { !$0.contains(".") }
          #expect(names == ["last", "first"])
          for group in unnamed { allocator.core.release(group) }
          withExtendedLifetime((first, last)) {}
        }
      }

      @Test func reclaimGivesBackOrSaysThatItIsLess() throws {
        try withMount { allocator, path, _ in
          let group = try allocator.rootGroup.makeChild(named: "group")
          let cache = try RawSlabCache(named: "kilobyte", objectSize: 1024, of: allocator)
          let objects = try unsafe (0..<400).map { _ in try unsafe cache.allocate(in: group) }
          let file = path + "/cgroup/group/memory.reclaim"
          expectRefusal(EAGAIN) { try Client.write("1M", to: file) }
          for index in unsafe objects.indices { unsafe cache.free(objects[index]) }
          let before = group.usage
          #expect(before > 0)
          try Client.write("4096 swappiness=60", to: file)
          #expect(group.usage < before)
        }
      }

      @Test func aClientThatWaitsForEventsIsWoken() throws {
        try withMount { allocator, path, _ in
          let group = try allocator.rootGroup.makeChild(named: "group", max: 1 << 20)
          let file = try Client.open(path + "/cgroup/group/memory.events")
          defer { close(file) }
          #expect(try Client.read(file).hasPrefix("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n"))
          #expect(Client.events(of: file, milliseconds: 0) == 0)
          let waiting = Thread {
            // Until the client sleeps or does not: both have to end.
            #expect(throws: SlabError.self) { _ = try group.charge(bytes: 2 << 20) }
          }
          waiting.start()
          #expect(Client.events(of: file, milliseconds: 60_000) == Int16(POLLPRI | POLLERR))
          // The first of its events wakes; by its end all of them are there.
          while !waiting.isFinished { sched_yield() }
          #expect(try Client.read(file, at: 0).contains("oom 1\n"))
          #expect(Client.events(of: file, milliseconds: 0) == 0)
        }
      }
    }
  }
#endif
