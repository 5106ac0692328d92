// SPDX-License-Identifier: Apache-2.0
// `/slab`: a cache's attributes, those that can be written, names that share a directory, children.

#if FUSE
  import Foundation
  import Glibc
  import Testing

  @testable import Slab
  @testable import SlabMount

  extension MountTests {
    @Suite struct Caches {
      private func value(_ path: String) throws -> Int? {
        Int(try Client.text(of: path).prefix { $0 != " " && $0 != "\n" })
      }

      @Test func attributesAreTheCaches() throws {
        try withMount { allocator, path, _ in
          let cache = try RawSlabCache(
            named: "session", objectSize: 100, options: [.hardwareCacheAligned, .typeSafe],
            of: allocator)
          let objects = try unsafe (0..<200).map { _ in
            try unsafe cache.allocate(in: allocator.rootGroup)
          }
          let folder = path + "/slab/session/"
          #expect(try Client.names(in: folder) == CacheFile.allCases.map(\.name) + ["cgroup"])
          for file in CacheFile.allCases {
            let text = try Client.text(of: folder + file.name)
            #expect(text.hasSuffix("\n") || [.shrink, .validate].contains(file), "\(file)")
            #expect(try Client.status(folder + file.name).st_size == 4096)
          }
          #expect(try value(folder + "object_size") == 100)
          #expect(try value(folder + "slab_size") == 128)
          #expect(try value(folder + "destroy_by_rcu") == 1)
          #expect(try value(folder + "hwcache_align") == 1)
          #expect(try value(folder + "poison") == 0)
          #expect(try value(folder + "aliases") == 0)
          // As the line of slabinfo, and as the kernel's slabinfo computes the size.
          let lines = try allocator.slabinfo().split(separator: "\n")
          let line = try #require(lines.first { $0.hasPrefix("session ") })
          let words = line.split(separator: " ")
          #expect(try value(folder + "objects") == Int(words[1]))
          #expect(try value(folder + "total_objects") == Int(words[2]))
          #expect(try value(folder + "slab_size") == Int(words[3]))
          #expect(try value(folder + "objs_per_slab") == Int(words[4]))
          #expect(try value(folder + "order").map { 1 << $0 } == Int(words[5]))
          #expect(try value(folder + "slabs") == Int(words[13]))
          let partial = try #require(try value(folder + "partial"))
          #expect(try partial > 0 && partial <= value(folder + "slabs") ?? 0)
          for index in unsafe objects.indices { unsafe cache.free(objects[index]) }
        }
      }

      @Test func whatIsWrittenIsHonoured() throws {
        try withMount { allocator, path, _ in
          let cache = try RawSlabCache(named: "session", objectSize: 1024, of: allocator)
          let folder = path + "/slab/session/"
          try Client.write("3\n", to: folder + "min_partial")
          #expect(cache.minPartial == 3)
          try Client.write("0", to: folder + "sheaf_capacity")
          #expect(cache.sheafCapacity == 0)
          #expect(try Client.text(of: folder + "sheaf_capacity") == "0\n")
          let objects = try unsafe (0..<400).map { _ in
            try unsafe cache.allocate(in: allocator.rootGroup)
          }
          for index in unsafe objects.indices { unsafe cache.free(objects[index]) }
          try Client.write("0", to: folder + "min_partial")
          #expect(try value(folder + "slabs")! > 0)
          #expect(try value(folder + "partial") == value(folder + "slabs"))
          try Client.write("1\n", to: folder + "validate")
          try Client.write("1\n", to: folder + "shrink")
          #expect(try value(folder + "slabs") == 0)
          #expect(try Client.text(of: folder + "partial") == "0\n")
          for (file, text, error) in [
            ("shrink", "2", EINVAL), ("shrink", "x", EINVAL), ("validate", "0", EINVAL),
            ("min_partial", "-1", EINVAL),
            ("min_partial", "99999999999", ERANGE), ("sheaf_capacity", "1K", EINVAL),
            ("sheaf_capacity", "100000", ERANGE),
          ] {
            expectRefusal(error) { try Client.write(text, to: folder + file) }
          }
          expectRefusal(EACCES) { _ = try Client.open(folder + "objects", O_WRONLY) }
          // The allocator's own caches are its own.
          let all = try Client.names(in: path + "/slab")
          let own = try #require(all.first { $0.hasPrefix("core:") })
          expectRefusal(EACCES) { _ = try Client.open("\(path)/slab/\(own)/shrink", O_WRONLY) }
        }
      }

      @Test func eachCacheHasADirectory() throws {
        try withMount { allocator, path, _ in
          var caches = try (0..<60).map {
            try RawSlabCache(named: "c\($0)", objectSize: 64, of: allocator)
          }
          caches.append(try RawSlabCache(named: "a/b", objectSize: 64, of: allocator))
          let lines = try allocator.slabinfo().split(separator: "\n").dropFirst(2)
          let expected = lines.map { $0.prefix { $0 != " " }.replacing("/", with: "!") }
          #expect(Set(try Client.names(in: path + "/slab")) == Set(expected.map(String.init)))
          #expect(try value(path + "/slab/a!b/object_size") == 64)
          // One that was open, and ends.
          let held = try Client.open(path + "/slab/c7/objects")
          defer { close(held) }
          try caches[7].destroy()
          caches.remove(at: 7)
          allocator.waitUntilIdle()
          let other = try RawSlabCache(named: "other", objectSize: 64, of: allocator)
          expectRefusal(ENODEV) { _ = try Client.read(held) }
          #expect(try !Client.names(in: path + "/slab").contains("c7"))
          expectRefusal(ENOENT) { _ = try Client.status(path + "/slab/none") }
          expectRefusal(EACCES) { try Client.makeDirectory(path + "/slab/none") }
          withExtendedLifetime((caches, other)) {}
        }
      }

      /// A mark that joins the slash, a colon or a bracket makes no other name of it.
      @Test func namesWithMarks() throws {
        try withMount { allocator, path, _ in
          let cache = try RawSlabCache(named: "a/\u{301}b(", objectSize: 64, of: allocator)
          let names = try Client.names(in: path + "/slab").filter { !$0.hasPrefix("core:") }
          #expect(names.map { Array($0.utf8) } == [Array("a!\u{301}b(".utf8)])
          let folder = try path + "/slab/" + #require(names.first)
          #expect(try value(folder + "/object_size") == 64)
          let groups = try ["\u{301}x", "y(z)"].map {
            try allocator.rootGroup.makeChild(named: $0)
          }
          let objects = try unsafe groups.map { try unsafe cache.allocate(in: $0) }
          let children = try Client.names(in: folder + "/cgroup")
          #expect(children.count == 2)
          for child in children {
            #expect(try value("\(folder)/cgroup/\(child)/object_size") == 64)
          }
          for index in unsafe objects.indices { unsafe cache.free(objects[index]) }
        }
      }

      /// For Swift they are equal; to the kernel they are two.
      @Test func namesThatSwiftHoldsForEqual() throws {
        try withMount { allocator, path, _ in
          let one = try RawSlabCache(named: "\u{e9}", objectSize: 64, of: allocator)
          let two = try RawSlabCache(named: "e\u{301}", objectSize: 128, of: allocator)
          #expect(try value(path + "/slab/\u{e9}/object_size") == 64)
          #expect(try value(path + "/slab/e\u{301}/object_size") == 128)
          withExtendedLifetime((one, two)) {}
        }
      }

      @Test func namesThatShareACacheAreLinks() throws {
        var configuration = SlabAllocator.Configuration()
        configuration.mergesCaches = true
        try withMount(configuration: configuration) { allocator, path, _ in
          let first = try RawSlabCache(named: "first", objectSize: 100, of: allocator)
          let second = try RawSlabCache(named: "second", objectSize: 104, of: allocator)
          let alone = try RawSlabCache(
            named: "alone", objectSize: 104, options: .noMerge, of: allocator)
          let folder = path + "/slab/"
          let names = try Client.names(in: folder).filter { !$0.hasPrefix("core:") }
          #expect(Set(names) == [":0000104", "first", "second", "alone"])
          #expect(names.count == 4)
          #expect(try Client.target(of: folder + "first") == ":0000104")
          #expect(try Client.target(of: folder + "second") == ":0000104")
          #expect(try value(folder + ":0000104/aliases") == 1)
          #expect(try value(folder + "second/object_size") == 104)
          #expect(try value(folder + "alone/aliases") == 0)
          withExtendedLifetime((first, second, alone)) {}
        }
      }

      @Test func childrenOfGroups() throws {
        var configuration = SlabAllocator.Configuration()
        configuration.endings = .keep
        try withMount(configuration: configuration) { allocator, path, _ in
          let cache = try RawSlabCache(named: "session", objectSize: 1024, of: allocator)
          var groups = try (0..<40).map { try allocator.rootGroup.makeChild(named: "g\($0)") }
          let folder = path + "/slab/session/cgroup/"
          #expect(try Client.names(in: folder) == [])
          var objects = try unsafe groups.map { try unsafe cache.allocate(in: $0) }
          let expected = groups.map { "session(\($0.number):\($0.name))" }
          #expect(try Client.names(in: folder) == expected.reversed())
          #expect(try value(folder + expected[3] + "/objects")! >= 1)
          expectRefusal(ENOENT) { _ = try Client.status(folder + "session(1:g3)") }
          expectRefusal(ENOENT) { _ = try Client.status(folder + "session(x") }
          // An ended group with an object, which keeps it, and one without.
          unsafe cache.free(objects.remove(at: 0))
          try groups[0].close()
          try groups[1].close()
          allocator.waitUntilIdle()
          var left = try Client.names(in: folder)
          #expect(left == expected[1...].reversed())
          #expect(try value(folder + expected[1] + "/slabs") == 1)
          let held = try Client.open(folder + expected[1] + "/objects")
          defer { close(held) }
          unsafe cache.free(objects.remove(at: 0))
          allocator.waitUntilIdle()
          left = try Client.names(in: folder)
          #expect(left == expected[2...].reversed())
          expectRefusal(ENODEV) { _ = try Client.read(held) }
          for index in unsafe objects.indices { unsafe cache.free(objects[index]) }
          groups = []
        }
      }
    }
  }
#endif
