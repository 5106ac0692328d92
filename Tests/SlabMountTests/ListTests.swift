// SPDX-License-Identifier: Apache-2.0
// Directories and texts that are read in pieces while groups come and go.

#if FUSE
  import Foundation
  import Glibc
  import SlabTestSupport
  import Testing

  @testable import Slab
  @testable import SlabMount

  extension MountTests {
    @Suite struct Lists {
      @Test func nodesAreTheirNumbers() {
        let keys = [
          GroupKey.root, GroupKey(id: 1, number: 3), GroupKey(id: 0xff_ffff, number: 0x3fff_ffff),
        ]
        var nodes: [Node] = [.top, .slabinfo, .caches]
        for key in keys {
          nodes.append(.group(key))
          nodes += GroupFile.allCases.map { .groupFile(key, $0) }
        }
        #expect(Set(nodes.map(\.number)).count == nodes.count)
        for node in nodes { #expect(Node(number: node.number) == node) }
        #expect(Node.top.number == 1)
        for number: UInt64 in [0, 4, 0xff, 1 << 62 | 40, 2 << 62 | 31] {
          #expect(Node(number: number) == .none)
        }
      }

      /// Groups that are there all the while are met once, whatever comes and goes between two pieces.
      @Test func whatStaysIsMetOnce() throws {
        try withMount { allocator, path, _ in
          let root = allocator.rootGroup
          var groups: [String: MemoryGroup] = [:]
          for index in 0..<3000 { groups["g\(index)"] = try root.makeChild(named: "g\(index)") }
          let directory = try OpenDirectory(path + "/cgroup")
          var met: [String: Int] = [:]
          var place = 0
          for _ in 0..<1000 {
            met[try #require(directory.next()), default: 0] += 1
            place = directory.place
          }
          // Also the one that the listing stands at.
          try withSeed { seed in
            var generator = SeededGenerator(seed: seed)
            for name in groups.keys.sorted().shuffled(using: &generator).prefix(1500) {
              try groups[name]!.close()
              groups[name] = nil
            }
          }
          for index in 0..<1500 { groups["n\(index)"] = try root.makeChild(named: "n\(index)") }
          var behind: [String] = []
          while let name = directory.next() {
            met[name, default: 0] += 1
            behind.append(name)
          }
          #expect(met.values.allSatisfy { $0 == 1 })
          for name in groups.keys where name.hasPrefix("g") {
            #expect(met[name] == 1, "\(name)")
          }
          directory.place = place
          var again: [String] = []
          while let name = directory.next() { again.append(name) }
          // What was in the library's buffer and has gone since is not there the second time.
          #expect(behind.filter { groups[$0] != nil } == again)
          directory.rewind()
          var all: [String] = []
          while let name = directory.next() { all.append(name) }
          #expect(Set(all).isSuperset(of: groups.keys) && Set(all).count == all.count)
        }
      }

      /// Only the beginning of a listing looks at all the children: what has come since is not in the pieces behind it.
      @Test func childrenAreLookedAtOnce() throws {
        let allocator = try SlabAllocator()
        let cache = try RawSlabCache(named: "session", objectSize: 1024, of: allocator)
        let groups = try (0..<300).map { try allocator.rootGroup.makeChild(named: "g\($0)") }
        let late = 100
        let others = groups[..<late] + groups[(late + 1)...]
        var objects = try unsafe others.map { try unsafe cache.allocate(in: $0) }
        let server = MountServer(allocator, .init())
        var key: CacheKey?
        allocator.forEachRootCache(from: 0) { cache in
          if cache.firstName == "session" { key = CacheKey(cache) }
          return key == nil
        }
        let directory = try Node.children(#require(key))
        var place: UInt64 = 0
        var names: [String] = []
        /// One piece; false at the end.
        func read() throws -> Bool {
          var count = 0
          try server.list(directory, behind: place) { name, _, next in
            guard count < 50 else { return false }
            count += 1
            place = next
            if case .fixed(let name) = name { names.append(name) }
            return true
          }
          return count > 0
        }
        let isMore = try read()
        #expect(isMore && names.count == 50)
        unsafe objects.append(try cache.allocate(in: groups[late]))
        while try read() {}
        let expected = others.reversed().map { "session(\($0.number):\($0.name))" }
        #expect(names == [".", ".."] + expected)
        place = 0
        names = []
        while try read() {}
        #expect(names.contains("session(\(groups[late].number):g100)") && names.count == 302)
        for index in unsafe objects.indices { unsafe cache.free(objects[index]) }
      }

      /// More than are kept for a listing.
      @Test func listingsOfManyChildren() throws {
        let allocator = try SlabAllocator()
        let cache = try RawSlabCache(named: "small", objectSize: 8, of: allocator)
        var groups: [MemoryGroup] = []
        var objects = unsafe [UnsafeMutableRawPointer]()
        for index in 0..<2 * ChildListing.most + 10 {
          groups.append(try allocator.rootGroup.makeChild(named: "g\(index)"))
          unsafe objects.append(try cache.allocate(in: groups[index]))
        }
        var view: RootCacheView?
        allocator.forEachRootCache(from: 0) { cache in
          if cache.firstName == "small" { view = cache }
          return view == nil
        }
        let root = try #require(view)
        var places: [UInt64] = []
        var next: UInt64? = .max
        while let place = next {
          let listing = ChildListing(of: root, CacheKey(root), behind: place)
          #expect(listing.covers(place, of: CacheKey(root)))
          places += listing.behind(place).map(\.place)
          next = listing.goesOnBehind
        }
        #expect(places.map { Int($0 >> 24) } == groups.map { Int($0.number) }.reversed())
        for index in unsafe objects.indices { unsafe cache.free(objects[index]) }
      }

      /// Any size of pieces gives the same bytes, and the beginning again gives new ones.
      @Test func piecesOfAnySize() throws {
        try withMount { allocator, path, _ in
          for size in [1, 7, 64, 512, 4095, 1 << 17] {
            let isWhole = try isTold(by: allocator) {
              try Client.text(of: path + "/slabinfo", pieces: size)
            }
            #expect(isWhole)
          }
          let whole = try Client.text(of: path + "/slabinfo", pieces: 1 << 17)
          let file = try Client.open(path + "/slabinfo")
          defer { close(file) }
          let start = try Client.read(file, atMost: 30)
          let cache = try RawSlabCache(named: "new", objectSize: 64, of: allocator)
          // What was begun is told to its end as it was.
          let rest = try Client.read(file)
          #expect(whole.hasPrefix(start) && !(start + rest).contains("\nnew "))
          #expect((start + rest).hasSuffix("\n"))
          #expect(try Client.read(file).isEmpty)
          let isNew = try isTold(by: allocator) {
            lseek(file, 0, SEEK_SET) == 0 ? try Client.read(file) : ""
          }
          #expect(isNew)
          #expect(try Client.read(file, atMost: 40, at: 24).hasPrefix("# name"))
          #expect(lseek(file, 1 << 20, SEEK_SET) == 1 << 20)
          #expect(try Client.read(file).isEmpty)
          #expect(lseek(file, -1, SEEK_SET) == -1)
          withExtendedLifetime(cache) {}
        }
      }

      /// Whether a text is what the allocator says. Its own caches may change between the two, by the thread that answers.
      private func isTold(by allocator: SlabAllocator, _ text: () throws -> String) throws -> Bool {
        for _ in 0..<100 {
          let before = try allocator.slabinfo()
          let text = try text()
          if text == before { return true }
          if try allocator.slabinfo() == before { return false }
        }
        return false
      }

      private static func isLine(_ line: Substring) -> Bool {
        let pattern = /\S+ +\d+ +\d+ +\d+ +\d+ +\d+ : tunables +0 +0 +0 : slabdata +\d+ +\d+ +0/
        return line.wholeMatch(of: pattern) != nil
      }

      /// Readers beside groups that are made and removed: no line is torn, no stable entry missing or doubled.
      @Test func readersBesideChanges() throws {
        try withMount { allocator, path, _ in
          let stable = try (0..<200).map { try allocator.rootGroup.makeChild(named: "s\($0)") }
          let caches = try (0..<20).map {
            try RawSlabCache(named: "c\($0)", objectSize: 64 + 8 * $0, of: allocator)
          }
          DispatchQueue.concurrentPerform(iterations: 10) { worker in
            for round in 0..<40 {
              if worker < 2 {
                let folder = "\(path)/cgroup/w\(worker)-\(round)"
                try! Client.makeDirectory(folder)
                try! Client.write("1M", to: folder + "/memory.max")
                let group = allocator.rootGroup.child(named: "w\(worker)-\(round)")!
                let object = unsafe try! caches[round % 20].allocate(in: group)
                try! Client.removeDirectory(folder)
                unsafe caches[round % 20].free(object)
              } else if worker < 6 {
                let lines = try! Client.text(of: path + "/slabinfo", pieces: 300)
                  .split(separator: "\n").dropFirst(2)
                #expect(lines.allSatisfy(Self.isLine))
                let names = lines.map { $0.prefix { $0 != " " } }
                #expect(Set(names).count == names.count)
                #expect(caches.allSatisfy { names.contains(Substring($0.name)) })
              } else {
                let names = try! Client.names(in: path + "/cgroup")
                #expect(Set(names).count == names.count)
                #expect(Set(names).isSuperset(of: stable.map(\.name)))
              }
            }
          }
        }
      }
    }
  }
#endif
